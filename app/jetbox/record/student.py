"""What stands beside a training set: how a student is trained on it, and the Modelfile that serves it."""

from __future__ import annotations

from jetbox.record.dataset import FORMS, TRAIN, VALIDATION, Form, Made, Part

MODELFILE = "Modelfile"
ADAPTER = "adapter"
BASE = "BASE"
"""Stands for the student's weights on Hugging Face: servers have names of their own for them."""
ROOM = 1.25
"""The student's tokens are not the teacher's."""
_TRAINERS: dict[Form, str] = {
    "openai": "TRL, Unsloth, and services that take the chat form of OpenAI",
    "axolotl": "Axolotl",
    "llamafactory": "LLaMA-Factory",
}


def length(made: Made) -> int:
    """Tokens that a trainer has to keep of a conversation for all of them to be whole: a power of two."""
    tokens = 1024
    while tokens < made.longest * ROOM:
        tokens *= 2
    return tokens


def texts(made: Made) -> dict[str, str]:
    """The files beside the set, by name."""
    files = {"README.md": _readme(made), **_recipe(made)}
    if made.student:
        files[MODELFILE] = modelfile(made)
    return files


def names() -> frozenset[str]:
    """Every file that a set can have beside it."""
    return frozenset(("README.md", MODELFILE, "train.py", "axolotl.yml", "llamafactory.yaml", "dataset_info.json"))


def modelfile(made: Made) -> str:
    """Serves base and adapter; what an answer looks like stays the base's affair."""
    window = max((origin.num_ctx for _, origin in made.origins), default=0)
    lines = [
        f"# Student of {made.teacher}, for an adapter trained on the set of {made.made[:10]} in this folder.",
        "# No TEMPLATE and no stop words here: those of the base hold, and calls of tools depend on them.",
        f"FROM {made.student}",
        f"ADAPTER ./{ADAPTER}",
    ]
    if window:
        lines.append(f"PARAMETER num_ctx {window}")
    return "\n".join(lines) + "\n"


def _recipe(made: Made) -> dict[str, str]:
    match made.form:
        case "openai":
            return {"train.py": _trl(made)}
        case "axolotl":
            return {"axolotl.yml": _axolotl(made)}
        case "llamafactory":
            return {"llamafactory.yaml": _llamafactory(made), "dataset_info.json": _dataset_info(made)}


def _trl(made: Made) -> str:
    evaluated = f', eval_dataset=load("{VALIDATION}")' if made.validation.samples else ""
    strategy = 'eval_strategy="epoch", ' if made.validation.samples else ""
    return f'''\
"""pip install trl peft "datasets>=4.7"; then: python train.py BASE"""

import json
import sys

from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer


def rows(name):
    with open(name, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for message in row["messages"]:
                for call in message.get("tool_calls", []):  # templates want an object, the file has a string
                    call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            yield row


def load(name):
    # Tools differ in their arguments: without this, each would get the others' as null.
    return Dataset.from_list(list(rows(name)), on_mixed_types="use_json")


trainer = SFTTrainer(
    model=sys.argv[1],
    train_dataset=load("{TRAIN}"){evaluated},
    peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    args=SFTConfig(
        output_dir="checkpoints",
        max_length={length(made)},
        num_train_epochs=2,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=8,
        learning_rate=1e-4,
        {strategy}assistant_only_loss=True,  # False where the student's template marks no answers
    ),
)
trainer.train()
trainer.save_model("{ADAPTER}")
'''


def _axolotl(made: Made) -> str:
    lines = [
        f"base_model: {BASE}",
        "chat_template: tokenizer_default",
        "datasets:",
        f"  - path: {TRAIN}",
        "    ds_type: json",
        "    type: chat_template",
    ]
    if made.validation.samples:
        lines += [
            "test_datasets:",
            f"  - path: {VALIDATION}",
            "    ds_type: json",
            "    split: train",
            "    type: chat_template",
        ]
    lines += [
        "adapter: lora",
        "lora_r: 16",
        "lora_alpha: 32",
        "lora_target_linear: true",
        f"sequence_len: {length(made)}",
        "sample_packing: false",
        "num_epochs: 2",
        "micro_batch_size: 1",
        "gradient_accumulation_steps: 8",
        "learning_rate: 0.0001",
        "optimizer: adamw_torch",
        "lr_scheduler: cosine",
        "bf16: auto",
        f"output_dir: ./{ADAPTER}",
    ]
    return "\n".join(lines) + "\n"


def _llamafactory(made: Made) -> str:
    lines = [
        f"model_name_or_path: {BASE}",
        "stage: sft",
        "do_train: true",
        "finetuning_type: lora",
        "lora_rank: 16",
        "lora_target: all",
        "dataset_dir: .",
        "dataset: train",
        *(["eval_dataset: validation", "eval_strategy: epoch"] if made.validation.samples else []),
        "template: TEMPLATE  # of the student's family, such as llama3 or qwen3",
        f"cutoff_len: {length(made)}",
        "num_train_epochs: 2",
        "per_device_train_batch_size: 1",
        "gradient_accumulation_steps: 8",
        "learning_rate: 1.0e-4",
        "bf16: true",
        f"output_dir: {ADAPTER}",
    ]
    return "\n".join(lines) + "\n"


def _dataset_info(made: Made) -> str:
    import msgspec

    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    files = {"train": TRAIN, "validation": VALIDATION} if made.validation.samples else {"train": TRAIN}
    info = {name: {"file_name": file, "formatting": "sharegpt", "columns": columns} for name, file in files.items()}
    return msgspec.json.format(msgspec.json.encode(info), indent=2).decode() + "\n"


def _readme(made: Made) -> str:
    parts = [
        f"# Conversations of {made.teacher}, to train another model on",
        _about(made),
        "## What the answers were made with",
        _origin(made),
        "## Train",
        _train(made),
        "## Serve",
        _serve(made),
    ]
    return "\n\n".join(parts) + "\n"


def _about(made: Made) -> str:
    others = " and ".join(form for form in FORMS if form != made.form)
    lines = [
        f"Made on {made.made[:10]} by jetbox-tui {made.app} from {made.sessions_read} sessions, "
        f"for {_TRAINERS[made.form]} (`--form {made.form}`; the others are {others}).",
        "",
        "| file | conversations | sessions | goals | tokens |",
        "|---|---|---|---|---|",
        _row(TRAIN, made.train),
        _row(VALIDATION, made.validation),
        "",
        f"Tokens are {'the' if made.counted else 'in part estimated, else the'} teacher's own count; "
        f"the longest conversation has {made.longest:,}. "
        "A session, its forks, and sessions with the same goal are on one side.",
    ]
    lines.append(
        f"{'With' if made.thinking else 'Without'} what the teacher thought. {made.secrets_replaced} known or "
        "likely secrets were replaced; look at the files before you give them away.\n"
    )
    for reason, goals in made.left_out.items():
        lines.append(f"- left out: {goals} {'goal' if goals == 1 else 'goals'}, since {reason}")
    if made.unreadable:
        lines.append(f"- left out: {len(made.unreadable)} sessions that cannot be read")
    return "\n".join(lines)


def _row(name: str, part: Part) -> str:
    return f"| `{name}` | {part.samples} | {part.sessions} | {part.goals} | {part.tokens:,} |"


def _origin(made: Made) -> str:
    lines = [
        "| conversations | system prompt | tools | weights | server | jetbox-tui | window |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, one in made.origins:
        system = f"{one.version.partition('/')[0]} {one.system[:12]}".strip()
        weights = one.digest.removeprefix("sha256:")[:12] or "not told"
        lines.append(
            f"| {count} | `{system}` | `{one.tools[:12]}` | `{weights}` | {one.server or 'not told'} | {one.app} "
            f"| {one.num_ctx:,} |"
        )
    lines += [
        "",
        f"Tools: {', '.join(made.tools)}.",
        "A student learns these with the answers. Where a later set has other marks than this one, train anew: "
        "`dataset.json` has them in full.",
    ]
    if made.drifted:
        lines.append(
            f"**Mixed: {', '.join(made.drifted)} in one set.** Leave the older sessions out, unless that is meant."
        )
    return "\n".join(lines)


def _train(made: Made) -> str:
    named = f"`{BASE}` is the student's weights on Hugging Face, those that its server was given"
    student = f" for {made.student}" if made.student else ""
    match made.form:
        case "openai":
            return f"""\
{named}{student}.

TRL:

```
pip install trl peft "datasets>=4.7"
python train.py {BASE}
```

Unsloth: the same loader (`load` of `train.py`), then

```python
model, tokenizer = FastLanguageModel.from_pretrained("{BASE}", max_seq_length={length(made)}, load_in_4bit=False)
model = FastLanguageModel.get_peft_model(model, r=16, lora_alpha=32)
template = lambda row: {{"text": tokenizer.apply_chat_template(row["messages"], tools=row["tools"], tokenize=False)}}
train = load("{TRAIN}").map(template)
settings = SFTConfig(max_length={length(made)}, num_train_epochs=2)
SFTTrainer(model=model, processing_class=tokenizer, train_dataset=train, args=settings).train()
model.save_pretrained("{ADAPTER}")
```"""
        case "axolotl":
            return f"{named}{student}: put it into `axolotl.yml`.\n\n```\naxolotl train axolotl.yml\n```"
        case "llamafactory":
            return (
                f"{named}{student}: put it into `llamafactory.yaml`, with the template of its family. "
                "What a teacher said beside its calls is not in this form.\n\n"
                "```\nllamafactory-cli train llamafactory.yaml\n```"
            )


def _serve(made: Made) -> str:
    if not made.student:
        return "Name the student with `--student NAME`, as its server does, and a Modelfile is written."
    return f"""\
```
ollama create my-student -f {MODELFILE}
jetbox-tui models show my-student
jetbox-tui models measure my-student
```

Ollama reads adapters of Llama, Mistral and Gemma as they are trained. Of others, merge the adapter into the base,
convert that with llama.cpp's `convert_hf_to_gguf.py`, and name the file in `FROM` instead of both lines. Train an
adapter on the weights that `FROM` names, not on a quantised copy of them.

Then let the student begin, and {made.teacher} go on where the student is not sure or a probe is red:

```toml
[routing]
mode = "cascade"
small = "my-student"
large = "{made.teacher}"
```"""
