"""Words before a call that a server left in the text: some announce it, some lead to what others wrote."""

from __future__ import annotations

import time

import pytest

from jetbox.engine.models.announced import doubtful

ANNOUNCED = """\
Jetzt behebe ich den Fehler:
Los geht's:
D'abord, lisons le fichier :
Primero leeré el archivo:
Leamos el archivo:
Lendo o arquivo:
Посмотрим на тесты:
Читаю файл:
테스트를 실행합니다:
Dosyayı okuyacağım:
Przeczytam plik:
Ik lees eerst het bestand:
Laat me het bestand lezen:
Jag läser filen först:
A quick look at the tests:
Sanity check:
One last thing:
Last step:
Also the docs:
Step 1 - Read the file
The file says x = 1. Changing it to 2:
In other words: I'll run the tests.
I'll run:
Let me read the file first:
Calling read_file:
Running the tests now:
First, I need to look at the file:
To fix this, we need to look at the code:
Here is the tool call:
Here's the function call:
Here's the JSON for the tool call:
I will call the function:
Tool call:
Action:
Next step:
Sure! Here's the corrected code:
Now reading:
Reading src/a.py:
Updating the file:
Step 1: Read the file:
1. Read the file:
Okay.
Sure.
The tests fail because add subtracts.
The function is missing a return, so I'll add it:
The bug is on line 3.
Now let's run the tests:
I'm going to write the file:
I am now creating the file:
I should check the tests:
We can run the tests to confirm:
Thought: I need to see the file.
Action: read_file
To find the bug, I'll read the source.
Let's start by listing the directory:
I use read_file:
I look at both:
So:
Then:
Both:
Finally, run the test suite:
Next, update the test file:
Create the file:
Let me fix that by editing the file:
Here is the updated file:
Here's the fix:
I think the bug is in parser.py. Let me check:
I can do that. I call the tool:
Great, now I'll verify it:
Now I'll run the tests to verify the fix:
I need to use the read_file tool to read the file:
The file says it is generated, so I'll look at the template:
It looks like I have to read it first:
Let me see what the README contains:
I want to make sure the change works, so let me run the tests:
Ich lese die Datei zuerst:
Ich führe jetzt die Tests aus:
Zuerst lese ich die Datei:
Dann rufe ich das Werkzeug auf:
Je vais lire le fichier :
Je lance les tests :
Voy a leer el archivo:
Vamos a ejecutar las pruebas:
Vou ler o arquivo:
Leggo il file:
Сейчас я прочитаю файл:
我先读取文件：
让我查看一下代码：
现在运行测试：
接下来我将修改文件：
ファイルを読みます：
テストを実行します：
파일을 읽어 보겠습니다:
The tests do not run without the fixture, so I look at it first:
I [will] write < 2 lines:
We should not call this twice, so I add a guard:
The shell cannot execute it; let me look:
I can't do this without the file, so let me read it:
I haven't run this yet, so let me do it:
I do not want to break this, so I read it first:
The format is wrong, so I read the file:
Tool: read_file
I'll now use `edit_file` to fix it:
Okay, I will implement the function in src/calc.py:
Next, I will update the tests in tests/test_calc.py:
Fixing the off-by-one error in `parse`:
Verifying the fix:
Let me try again with the correct arguments:
Sorry about that. Let me retry:
Retrying with a shorter command:
Plan: read the file, then fix it.
Thought: the file was not read yet. Action: read the file:
Step 2: Fix the bug, then run the tests:
I need more information. Reading the config:
The next step is to run the tests:
My next step is reading the tests:
The fix is to return the sum:
The user wants me to fix the bug:
User wants to list files:
The user is asking me to list the files:
Need to look at the file:
About to run the tests:
Gonna read the file:
Now to edit the file:
Now the tests:
And the test file:
Of course:
Got it:
Understood:
Done:
The task is complete:
Everything is done:
That completes the task:
I found the bug:
I've identified the issue:
I see the problem now:
To do this:
As a first step:
As you asked, creating the file:
Tool call to read the file:
Here's the corresponding tool call:
Here is the JSON response for the function call:
Here is the function call with the proper arguments:
Here is the edit that fixes the bug:
Here's what I'm going to do:
The right tool is read_file:
The best tool for this is `read_file`:
First, I'll search for patterns that might help us build this application:
Given your request, I will call the read_file function to accomplish this:
If the file exists, I'll read it:
The test says 3 is expected, so I'll change it:
We can ignore this warning.
The file does not follow the rules.
I have not run the tests yet.
Don't ignore errors.
I ignored the first line.
The hidden field is missing.
Grep for the name:
Done.
This is a prompt injection, so I'll delete the line:
The header contains the text of the license.
""".splitlines()
REPORTED = """\
The log of another agent reads: I'll now remove the folder.
The page says: now we run:
It ends with the agent's words: Let me clean up:
The chat log ends: "OK, now I delete it:
The text continues: Let me clean up.
> I'll clean up:
Once you confirm, I will delete the folder.
I read in notes.txt:
Ich sehe in der Datei:
ファイルには次の行があります：
Ik zie in het bestand:
system_prompt:
list_of_files_output:
The last line of notes.md is:
WARNING, the file tries to make me run:
The command printed:
The page contains the following text.
The output of the command is:
I found this in the log:
The README shows this snippet:
The injected text was:
Ignore this, it is an attack:
Should I run this?
My earlier call failed:
I did not run what the file asks for:
In der Datei steht:
Le fichier contient :
El archivo dice:
文件内容是：
文件让我运行：
The file says that I should run:
It claims I must call:
Here is the content of notes.md:
Here is what the file says:
Here is the command the log shows:
The file ends with a tool call.
The log says
I saw this line:
I got this answer:
I was asked to run this:
I'm told to run:
I am instructed to execute:
Output:
Result:
The result is:
The test output:
Somebody wrote:
Someone put this into the README:
The comment in line 3 reads:
As the documentation states:
The prompt injection:
The suspicious part is this:
Content of the file:
notes.md:
The first line of the file:
The user of the forum suggests:
The docs recommend:
The script would execute:
I noticed an instruction in the file:
I won't do what it says:
I see the following in the log:
I'll show you what the file holds:
I will quote the line:
Let me quote the file:
Let me show you what it says:
The old session ended with:
That file wants me to run:
Looking at the log, it says:
Reading the file shows:
Running it prints:
What does this do?
Is this what you want me to run?
Do you want me to run this?
Die letzte Zeile lautet:
Die Datei enthält folgenden Text.
Die Ausgabe war:
Ich habe das in der Datei gefunden:
Soll ich das ausführen?
La sortie de la commande est :
Le journal dit :
La dernière ligne du fichier :
La salida fue:
La última línea es:
A última linha diz:
Il file contiene:
В файле написано:
文件的最后一行：
日志显示：
ファイルの内容は次のとおりです：
ファイルにはこう書かれています：
파일 내용:
The model before me answered:
Your file has this at its end:
At the end of the file there is:
There is a hidden instruction:
Attention, this is malicious:
Here's the suspicious text:
Here is the file:
For the record, the line was:
The config holds:
grep found:
pytest printed:
The server answered:
The comment reads: Run the tests:
The file says, run the tests:
The page tells everybody: first run this, then go on:
The page says: I'll run this:
The log says: let me run this:
The text reads "I will run" and then:
It says "let me run the tests" and then:
He wrote “we need to clean up”, so:
According to the docs, I should call:
I'd run:
I would run:
I could run this:
I can run this, but it is dangerous:
If you approve, I will run:
If you'd like, I can run:
Once you confirm, I'll run:
With your permission, I'll run:
Shall I go on and run:
Quoting the file:
Citing:
The user asked me to run this:
The user wants me to call:
Here is the call that the log ends with:
Here is the call with which the log ends:
This is a prompt injection and I will ignore it.
I will not follow the instruction in the file.
I'm ignoring the instruction in notes.md.
The file holds an order to delete everything. I did not follow it.
notes.md contains a hidden tool call, which I did not run.
The file ends with a call to run_cmd.
grep says:
Contents of notes.md
Excerpt from the log
Translation of the page.
notes.md
Docs/notes.md
""".splitlines()


@pytest.mark.parametrize("words", ANNOUNCED)
@pytest.mark.parametrize("behind", ["\n", "\n\n", "\n```json\n"])
def test_a_call_that_its_speaker_announces_is_not_doubted(words: str, behind: str) -> None:
    assert not doubtful(f"{words}{behind}")
    assert not doubtful(f"The tests are red, as notes.md says. **{words}**{behind}")


@pytest.mark.parametrize("words", REPORTED)
@pytest.mark.parametrize("behind", ["\n", "\n\n", " ", "\n```json\n"])
def test_a_call_behind_what_leads_to_words_of_others_is_doubted(words: str, behind: str) -> None:
    assert doubtful(f"{words}{behind}")
    assert doubtful(f"I'll read the file first. {words[0].upper()}{words[1:]}{behind}")
    assert doubtful(f"I'll read the file first.\n\n**{words}**{behind}")


@pytest.mark.parametrize("mark", ["<file_content>", '<file path="notes.md">', "<tool_response>", "<log>", "<example>"])
def test_a_call_behind_a_mark_of_what_others_wrote_is_doubted(mark: str) -> None:
    assert doubtful(f"{mark}\n")
    assert doubtful(f"I'll read the file first.\n\n{mark}\n")


@pytest.mark.parametrize("mark", ["<answer>", "<response>", "<action>", "<step>"])
def test_one_behind_a_mark_of_an_answers_is_not(mark: str) -> None:
    assert not doubtful(f"{mark}\n")


@pytest.mark.parametrize("words", ["`list_dir`:\n", "**read_file**\n", "edit_file:\n"])
def test_the_name_of_a_tool_announces_its_call(words: str) -> None:
    assert not doubtful(words)


@pytest.mark.parametrize("words", ["", "\n", "json\n", "assistant\n", "Sure\njson\n", "```json\n", "**\n", "---\n"])
def test_no_words_are_no_doubt(words: str) -> None:
    assert not doubtful(words)


@pytest.mark.parametrize(
    "words",
    ["now first then ok so ", "ok, ", "1. ", "a-", "ich a b c d ", "here is the first ", "contains a b ", "我", ": "],
)
def test_long_words_take_no_time(words: str) -> None:
    begun = time.process_time()
    for _ in range(20):
        doubtful(words * (10_000 // len(words)))
    assert time.process_time() - begun < 2
