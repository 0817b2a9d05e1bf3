"""Tells from the words before a call whether it is only shown: quoted, an example, or what will not be done."""

from __future__ import annotations

import re

from jetbox.engine.models.callforms import FENCES

FAR = 1000
"""Characters before a call that may be of its sentence."""
_END = r"\W*\Z"
_MODAL = r"(?:would|could|can|may|might|must|should|will|need to|have to)"
_USE = r"(?:run|execute|call|perform|invoke|use|write|type|answer|send|say|do)"
_SO = r"(?:this|that|so|as follows)"
_CALL = r"(?:call|command|answer|tool call|function call)"
_I = r"(?:I|we)(?:['’]ll)?\b(?! (?:think|am|believe|don|do|would|cannot|can|could|will not|won|fear|leave|ask|show)\b)"
_TURNS = rf"(?:;|\b(?:so|but|therefore|instead))\W+(?:(?:first|now|then|instead)\W+)?(?:{_I}|let\b)"
_EXAMPLE = re.compile(
    r"(?is)(?:zum Beispiel|beispielsweise|par exemple|por ejemplo|por exemplo|(?:ad|per) esempio|например|"
    rf"例如|比如|例えば|예를 들어)\W*(?:\w{{1,12}}\W*)?\Z|"
    rf"\b(?:for example|for instance|e\. ?g\.)(?:,? (?:with|by|like|as|{_SO}))?{_END}|"
    rf"\A\W*(?:for example|for instance)\b(?!.*\b(?:I|let)\b).*:{_END}|"
    r"\A\W*(?:(?:the|an?|another|its|one|\d+) )?(?:\w+ )?(?:examples?|sample|syntax|format|usage)"
    rf"(?: (?:{_CALL}|of an? {_CALL}))?{_END}|\ban? (?:\w+ )?(?:example|sample)(?: (?:{_CALL}|of an? {_CALL}))?{_END}|"
    rf"\b(?:example|sample) {_CALL}{_END}|"
    rf"\b(?:looks?|would look)(?: (?:something|like|{_SO}))+{_END}|\bwould look{_END}|"
    rf"\b(?:format|syntax|usage) (?:is|would be){_END}|\b{_CALL} would be{_END}|"
    rf"\bwould (?:\w+ ){{0,4}}like {_SO}{_END}|\A(?!.*\b(?:I|we|let)\b).*\blike (?:this|that|so){_END}|"
    rf"\b(?:you|one) (?:\w+ ){{0,1}}{_MODAL} (?:\w+ ){{0,3}}{_USE}(?: \w+){{0,4}}{_END}|"
    rf"\b{_USE} (?:\w+ ){{1,3}}yourself{_END}"
)
"""Ends the sentence before an example, or before what others are told to do."""
_SAYS = re.compile(
    r"(?is)\A(?!.*\b(?:what|whether|how|where|if|as|let|I['’]ll|I will)\b)"
    r".*\b(?:contains?|says?|said|reads|states|wrote|writes)\s*:[\s*_]*\Z"
)
"""Ends the sentence before what others wrote."""
_REFUSES = re.compile(
    r"(?is)(?:(?:\bnot|n['’]t|\bcannot|\bnever|\bunable to|\b(?:refused?|declined?) to)\s(?:\w+ ){0,3}"
    r"(?:run|running|execut\w+|call|calling|perform\w*|invok\w+)"
    rf"(?: (?:this|that|it|them|these|those|the (?:following|(?:following )?(?:call|command|tool)))\b|{_END})|"
    r"(?:\bI |\A\W*)(?:\w+ )?(?:not|never|(?:wo|ca|do)n['’]t|cannot) (?:\w+ )?(?:do|doing) (?:this|that|it|so)\b)"
    rf"(?!.*{_TURNS})"
)
"""It will not be done, and nothing else is announced behind that."""
_DAS = (
    r"(?:(?:das|dies(?:e[nrs]?)?|es|ihn|den|(?:den )?(?:folgenden|nachstehenden))"
    r"(?: (?:folgenden |nachstehenden )?(?:Befehl|Aufruf|Tool-?Aufruf))?)"
)
_KANN = r"(?:werden?|will|wollen|kann|können|darf|dürfen|möchten?)"
_CELA = r"(?: (?:ceci|cela|ça|(?:cette|la) commande(?: suivante)?|(?:cet |l['’])appel(?: suivant)?))?"
_ESTO = r"(?: (?:esto|eso|(?:este|el)(?: siguiente)? comando|(?:esta|la)(?: siguiente)? llamada))?"
_REFUSES_TOO = re.compile(
    rf"(?is)\b(?:ich|wir) {_KANN} (?:{_DAS} )?(?:nicht|niemals) (?:{_DAS} )?(?:ausführen|aufrufen)\W*\Z|"
    rf"\b{_DAS} {_KANN} (?:ich|wir) (?:nicht|niemals) (?:ausführen|aufrufen)\W*\Z|"
    rf"\b(?:{_DAS} (?:führe|rufe) ich|ich (?:führe|rufe) {_DAS}) (?:nicht|niemals) (?:aus|auf)\W*\Z|"
    rf"\bje ne (?:vais|peux|veux|dois) pas (?:l['’]|le |la |les )?(?:exécuter|lancer|appeler){_CELA}\W*\Z|"
    rf"\bje (?:n['’](?:exécuterai|appellerai)|ne (?:l['’](?:exécuterai|appellerai)|(?:la |le )?lancerai)) pas{_CELA}"
    r"\W*\Z|"
    rf"\bje refuse (?:d['’](?:exécuter|appeler)|de lancer){_CELA}\W*\Z|"
    rf"\bno (?:(?:lo|la) )?(?:(?:voy a|puedo|debo|quiero) (?:ejecutar|llamar)(?:lo|la)?|ejecutaré|llamaré){_ESTO}"
    r"\W*\Z|"
    r"我们?(?:不会|不能|不应该?|不该|不可以|无法|拒绝)(?:去|再)?(?:执行|运行|调用)"
    r"(?:它|(?:(?:这|该|此)(?:个|条)?|(?:以下|下面|下列)(?:这(?:个|条))?的?)(?:命令|调用|工具)?)?\W*\Z"
)
"""The same in German, French, Spanish and Chinese where it is the speaker that will not, at the sentence's end."""
OPENING = re.compile(r"```\w*[\s\[{]*\Z")
_INDENTED = re.compile(r"\n(?: {4}|\t)[ \t]*\Z")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])|\n\s*\n")
_QUOTE = re.compile(r"(?:^|[\s(])['‘]\Z")
_CODE = re.compile(r"`[^`]*+`")
_QUOTES = {"„": '“”"', "“": "”", "«": "»", "»": "«»", "‹": "›", "›": "‹›", "「": "」", "『": "』", '"': '"'}
"""What opens a quotation in a line, with what closes it: German closes with what opens one in English."""
_QUOTING = re.compile(r"[»›](?=\s)|(?<=\d)\"|(?P<opens>[„“”«»‹›「」『』\"])")
"""The first of these only close: a mark before a step, and inches."""


def shown(before: str) -> bool:
    """Whether a call behind these words is an example, or one that will not be made."""
    words = OPENING.sub("", before[-FAR:]).rstrip()
    if not words:
        return False
    sentence = _SENTENCE.split(words)[-1]
    return _INDENTED.search(before) is not None or any(
        pattern.search(sentence) for pattern in (_EXAMPLE, _SAYS, _REFUSES, _REFUSES_TOO)
    )


def quoted(before: str) -> bool:
    """True within a code block of another language, inline code, or a quotation."""
    if before.count("```") % 2:
        opened = before.rpartition("```")[2]
        return opened.strip().lower() not in FENCES
    if sum(line.startswith("~~~") for line in before.splitlines()) % 2:
        return True
    line = before.rpartition("\n")[2]
    return line.count("`") % 2 == 1 or line.lstrip().startswith(">") or cited(line)


def cited(before: str) -> bool:
    """Within quotation marks that a line has opened."""
    line = before.rpartition("\n")[2]
    opened = ""
    for mark in _QUOTING.finditer(_CODE.sub("", line)):
        if opened:
            opened = "" if mark[0] in _QUOTES[opened] else opened
        elif mark["opens"] and mark[0] in _QUOTES:
            opened = mark[0]
    return opened != "" or _QUOTE.search(line) is not None
