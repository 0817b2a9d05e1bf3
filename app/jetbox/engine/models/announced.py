"""Tells from the words before a call whether they announce it, or lead to what somebody else wrote.

A model that reads a file, a page or a log may quote the call that stands there, and a server that leaves calls in the
text makes that look like the model's own. Words that lead to something (a colon, "the following", a question) without
saying that the speaker acts are doubted: such a call is asked for again, not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jetbox.engine.models.shown import FAR, OPENING

_DO = (
    r"(?:add|apply|begin|build|call|change|check|clean|compare|continue|correct|create|delete|do|edit|execute|explore|"
    r"examine|extend|find|finish|fix|format|get|go|grep|implement|import|inspect|install|invoke|issue|keep|list|load|"
    r"look|make|mark|mend|modify|move|open|overwrite|patch|perform|print|proceed|put|read|re-?read|re-?run|refactor|"
    r"remove|rename|repair|replace|retry|review|rewrite|run|save|scan|search|send|set|start|submit|switch|take|test|"
    r"try|update|use|validate|verify|view|write)"
)
_ING = (
    r"(?!(?:no|some|any|every)thing|according|regarding|concerning|string|warning|following|during|including|missing|"
    r"failing|being|meaning|having|saying|heading|nothing|billing|quoting|citing|pasting)[a-z-]{2,}ing"
)
_ADVERBS = (
    r"(?:(?:now|first|then|next|also|again|once more|just|quickly|finally|directly|therefore|instead|only|"
    r"still|thus|simply|actually|carefully|\[\w+\]),? ){0,4}"
)
_NO_DEED = (
    r"(?:not|never|no longer|told|asked|instructed|ordered|being|supposed|expected|meant|sorry|afraid|aware|unable|"
    r"unsure|reporting|quoting|showing|show|quote|paste|cite|tell|explain|note|ignore|report|repeat|summari[sz]e|"
    r"give|ignoring|refusing|declin(?:e|ing)|disregard(?:ing)?|"
    r"leave|ask|think|believe|say|refuse|warn|mention|describe|present|stop|seeing|see (?:this|that|it|an?|the "
    r"following)|suggest|recommend|advise)\b"
)
_WILL = (
    r"(?:(?:I|we)(?:['’](?:ll|m|re|d like to|d better|d (?:first|start|begin))| will| shall| am| are| (?:still "
    r")?need to| have to| must| should|"
    r" want to| would like to| can| may| might need to)|let me|let us|let['’]s|it is time to|time to|"
    r"(?:the|my|our) (?:very )?(?:first|second|third|next|last|final|remaining|other) (?:\w+ )?"
    r"(?:step|thing|task|action|move|job) (?:here |now )?(?:is|will be|would be)(?: to)?|"
    r"(?:the|my|our|a) (?:\w+ )?(?:fix|solution|plan|idea|remedy) (?:here |now )?(?:is|will be|would be) to)\b"
)
_ENGLISH = (
    rf"(?<!what )(?<!that )(?<!says )(?<!said )(?<!saying )(?<!states )(?<!claims )(?<!whether )(?<!if )(?<!wants )"
    rf"(?<!file )(?<!makes )\b{_WILL},? {_ADVERBS}(?!{_NO_DEED})[\w`*\"'\[]",
    rf"(?<!what )(?<!that )(?<!whether )(?<!if )(?<!did )(?<!do )\b(?:I|we) {_ADVERBS}"
    rf"(?!(?:read|find|get) (?:(?:it|this|that) )?(?:in|on|from)\b){_DO}\b(?! it says)",
    r"\b(?:so|here|now|then|next|this is) (?:what|how) (?:I|we)(?:['’]ll| will| do| am going to|['’]m going to)\b|"
    r"\bhere(?:['’]s| is) (?:what|how) "
    r"(?:I|we)(?:['’]ll| will| do| am going to|['’]m going to)\b",
    rf"\A\W*(?:\w+,? ){{0,2}}(?:the )?user (?:wants|asked|asks|has asked|is asking|would like|needs)(?: me| us)? to "
    rf"{_DO} "
    r"(?!(?:this|that|it|these|the following)\b)\w",
)
"""Somewhere in the sentence: the speaker acts."""
_AT_FIRST = (
    r"(?:\A|[,;:.—–]\s|\b(?:and|so|then|now|next|but|first|finally)[,:]? )(?:(?:step )?\d+[.):]? )?(?:[-–—] )?"
    r"(?:(?:ok|okay|sure|right|alright|great|good|well|done|yes|please|now|first|second|then|next|finally|also|so|and|"
    r"but|therefore|instead|again)\b\W*){0,4}"
)
_ONE_SELF = (
    r"(?:(?:need|have|going|about|ready|trying|got|time) to |gonna |gotta |(?:(?<=now )|(?<=next )|(?<=next, ))to )?"
)
_SPEAKS = r"(?:says|said|shows|showed|prints|printed|found|gave|gives|returns|returned|reports|reported|outputs?)"
_STARTS = (
    rf"{_AT_FIRST}{_ING}\b(?! (?:this|that|it) (?!to ))",
    rf"{_AT_FIRST}{_ONE_SELF}{_DO}\b(?! {_SPEAKS}\b)(?!\W*\b(?:this|that|it)\b\W*\Z)",
)
"""At the beginning of a clause: an instruction to oneself, or what is being done."""
_TELLS = (
    r"(?i)\b(?:contain(?:s|ed)?|holds?|held|says?|said|reads|states?|stated|shows?|showed|prints?|printed|returns|"
    r"returned|gives|gave|reveals?|tells?|told|asks?|asked|wants?|wanted|tries|tried|failed|fails|was|were|wrote|"
    r"writes|found|saw|got|includes?|included|quotes?|ends with|begins with|starts with|displays?|outputs?|"
    r"logged|reported|suggests?|instructs?|orders?|demands?|requests?|expects?)"
)
_TOLD = re.compile(rf"{_TELLS}\b(?: (?:me|us|for|so|that|is|out|here|with|to (?:run|call|do|execute|use)))*\W*\Z")
_TOLD_OF = re.compile(
    rf"{_TELLS} (?:\w+ ){{0,3}}(?:calls?|commands?|instructions?|snippet|text|prompt|injection|message|lines?|output|"
    r"block|json|request|example|quotation|passage)(?: (?:to|of|for) [\w`]+)?\W*\Z"
)
_NOUN = (
    r"(?:(?:tool|function|api)[ -]?)?calls?|tools?|functions?|actions?(?: input)?|next|then|now|first|second|last|"
    r"finally|both|so|thus|fix(?:es)?|solution|plan|steps?(?: \w+)?|edits?|changes?|patch|update|json|again|in short|"
    r"(?:first|then|now|next|and|so) (?:this|that|these|those|it)|tool_calls?|function_calls?|arguments|parameters|"
    r"(?:first|then|now|next) [\w./`-]+|(?:tool|function) calls? (?:to|for) (?:\S+ ){0,8}\S+|"
    r"(?:and|also|first|then|now|next),?(?: for)? (?:the|my) (?:\w+ )?(?:tests?|files?|calls?|edits?|changes?|fix|"
    r"code)|"
    r"(?:(?:almost|nearly) (?:done|there|finished))|one (?:more|last)(?: (?:thing|step|check|call|edit|change))?|"
    r"(?:quick|sanity|double)[ -]?check|check|verification|"
    r"an? (?:quick|closer|first|last|final) look(?: at (?:\S+ ){0,5}\S+)?|"
    r"also (?:the|my) \w+|(?!\w*(?:outputs?|contents?|results?|text|logs?|response|data)\W*\Z)"
    rf"(?:{_DO}|list)(?:_[a-z]+)+|"
    r"okay|ok|of course|certainly|absolutely|got it|understood|al(?:l )?right|no problem|hm+|wait|actually|yes|well|"
    r"done|all done|finished|final answer|(?:to do|for) (?:this|that|so|it)(?: task)?|as an? (?:first|next|last) step|"
    r"that['’]s (?:it|all|everything)|that completes (?:the|this|your) (?:task|work|goal|request)|"
    r"(?:(?:the|this|your|my) )?(?:task|work|job|goal|everything) (?:(?:is|was|has been) )?(?:now )?"
    r"(?:done|complete|completed|finished|reached)|"
    r"(?:i|we)(?:['’]ve| have)?(?: now| just)? (?:found|see|spotted|located|identified|understand|know) (?:the|what "
    r"the) "
    r"(?:\w+ )?(?:bug|issue|problem|error|cause|mistake|culprit)(?: is)?(?: now)?|"
    r"(?:the )?(?:right|correct|best|appropriate|proper|suitable)? ?(?:tool|function)(?: (?:to use|to call|for this|"
    r"here))? (?:is|will be|would be) [\w`]+"
)
_NAMED = re.compile(
    rf"(?i)\A\W*(?:(?:the|my|next|first|second|last|final|required|proposed|corrected|new) )*(?:{_NOUN})\W*\Z|"
    rf"\b(?:then|now|so|next|again|both|first)\W*\Z|"
    r"\bhere(?:['’]s| is| are| it is| goes| you go| we go)\b(?: (?:it|the|my|an?))?"
    r"(?: (?:first|next|second|final|corrected|fixed|updated|new|revised|complete|full|proper|required|needed|right|"
    r"correct|corresponding|appropriate|requested|necessary|improved|modified|working|tool|function|json))*"
    r"(?: (?:calls?|tools?|functions?|commands?|actions?|edits?|changes?|fix(?:es)?|patch|update|code|version|file|"
    r"response for (?:the|a|this) (?:tool|function) call|implementation|tests?|json|object|request|solution|plan|"
    r"steps?|content))?"
    r"(?: with (?:(?:the|its) )?(?:proper|correct|right|required|necessary|needed|corrected|fixed|updated) \w+)?"
    r"(?: (?:to|for|(?:that|which) (?:will \w+|fixes|adds|creates|updates|corrects)) (?:\S+ ){0,8}\S+)?\W*\Z"
)
"""Words that stand for the call itself."""
_OF_OTHERS = re.compile(r"(?i)\bhere(?:['’]s| is| are) (?:the|an?) (?:file|content|command|code|json|request)\W*\Z")
_ELSEWHERE = re.compile(
    r"(?is)\bich (?:\w+ ){0,4}?(?!habe|hatte|fand|sah|soll|sollte|bin|war|zeige|zitiere|wurde|"
    r"(?:seh|les|hol)\w* (?:in|im|aus|dort|da|hier)\b)(?:les|ruf|führ|schau|"
    r"öffn|schreib|start|prüf|test|änder|erstell|such|nutz|verwend|mach|werd|muss|möcht|will|kann|korrigier|ergänz|"
    r"ersetz|lösch|beginn|seh|hol|leg|füg|geb)\w*|"
    r"\b(?:les|ruf|führ|schau|öffn|schreib|start|prüf|test|änder|erstell|such|nutz|verwend|mach|werd|muss|möcht|will|"
    r"kann|korrigier|ergänz|ersetz|lösch|beginn|seh|hol|leg|füg)e? ich\b|\A\W*lass(?:t|en Sie)? (?:mich|uns)\b|"
    r"\bje (?:vais|lis|lance|regarde|cherche|modifie|crée|vérifie|dois|commence|ouvre|écris|corrige|exécute|teste|"
    r"l['’](?:exécute|ouvre|appelle)|les? (?:lis|lance|corrige))\b|\A\W*(?:laissez-moi|voyons|commençons|maintenant)\b|"
    r"\b(?:voy a|vamos a|déjame|permíteme|(?:lo |la |los |las )?(?:leo|ejecuto|abro|busco|edito|reviso|escribo|corrijo|"
    r"cambio|añado|compruebo|llamo|pruebo)|necesito|tengo que|debo)\b|"
    r"\b(?:vou|vamos|deixe-me|preciso|(?:eu )?(?:leio|executo|abro|procuro|crio|escrevo|corrijo|verifico))\b|"
    r"\b(?:leggo|eseguo|apro|cerco|scrivo|creo|controllo|modifico|correggo|fammi|devo|vado a|provo)\b|"
    r"\b(?:я (?:прочита|посмотр|запущ|откро|провер|исправл|созда|измен|буд)\w*|давай(?:те)?|"
    r"прочитаю|посмотрю|запущу|открою|проверю|исправлю|создам|изменю)\b|"
    r"(?:\A|[，。；、：:\s所以]|因此|那么|现在|接下来|然后|首先)(?:我们?(?:来|将|会|先|要|需要|再|现在|就|得|应该|可以)|让我们?|"
    r"(?:先|再|来|现在|首先|接下来|然后|下一步)(?:我们?)?(?:来|先|要)?(?:读取?|运行|执行|调用|查看|检查|修改|写入|创建|打开|搜索|测试|看))|"
    r"(?<![てあ])(?:い|き|し|ち|に|み|り|び|ぎ|え|け|せ|て|べ|め|れ|見)(?:てみ)?(?:ます|ましょう)\W*\Z|"
    r"(?:겠습니다|볼게요|할게요|보겠어요|하자|보자|(?:실행|확인|수정|생성|작성|호출|검색|시작|진행)합니다)\W*\Z|"
    r"\b(?:jetzt|nun|dann|zuerst|zunächst|danach|anschließend|als nächstes) "
    r"(?!zeige|zitiere|finde|sehe|habe)\w+e ich\b(?! (?:in|dort|da)\b)|\blos geht['’]s\W*\Z|"
    r"(?:\A|[,;:.]\s|d['’]abord,? |ensuite,? |maintenant,? )(?:lisons|regardons|ouvrons|exécutons|lançons|vérifions|"
    r"corrigeons|modifions|créons|testons|cherchons|appelons|écrivons)\b|"
    r"\b(?:leer|ejecutar|abrir|buscar|editar|revisar|escribir|corregir|cambiar|crear|comprobar|llamar|probar|"
    r"modificar|verificar|actualizar)(?:é|emos)\b|\A\W*(?:\w+,? ){0,2}(?:leamos|ejecutemos|abramos|busquemos|revisemos|"
    r"corrijamos|creemos|probemos|leyendo|ejecutando|abriendo|corrigiendo|creando|verificando|lendo|abrindo|"
    r"corrigindo|criando)\b|"
    r"\b(?:посмотрим|прочитаем|запустим|проверим|исправим|откроем|создадим|читаю|запускаю|проверяю|исправляю|"
    r"открываю|создаю)\b|"
    r"\b(?!gör|bul|alıntı)\w+(?:acağım|eceğim|ayım|eyim|alım|elim)\b|"
    r"\bik (?:zal|ga|lees|open|voer|controleer|bekijk|maak|schrijf|zoek|start|test|roep)\b(?! in\b)|"
    r"\b(?:laat me|laten we|laat ik)\b|"
    r"\b(?:przeczytam|sprawdzę|uruchomię|otworzę|naprawię|utworzę|zmienię|poprawię|wywołam|zapiszę)\b|"
    r"\b(?:jag|jeg) (?:ska|skal|vil|läser|leser|læser|kör|kjører|kører|öppnar|åpner|åbner|skapar|ändrar)\b(?! i\b)|"
    r"\b(?:låt mig|la meg|lad mig)\b"
)
"""The speaker acts, in German, French, Spanish, Portuguese, Italian, Russian, Chinese, Japanese, Korean, Turkish,
Dutch, Polish and the languages of Scandinavia."""
_SAYS = (
    r"(?i)\b(?:says?|said|reads|states?|stated|tells?|told|asks?|asked|writes?|wrote|claims?|claimed|contains?|shows?|"
    r"showed|prints?|printed|answers?|answered|replied|ends|ends with|begins with|starts with|continues|goes on|"
    r"(?<!other )words|saying|paragraph|line)"
)
_SAID = re.compile(
    rf"{_SAYS}(?: \w+){{0,2}}\s*(?:[:：]\s*[\"“„«‘'`]*|[\"“„«‘'`]+)"
    r"(?:(?:ok|okay|well|yes|sure|so|and|now|then|next|first)\b,? ){0,3}\Z"
)
"""Whatever comes behind this is what somebody else says."""
_IN_WORDS = re.compile(rf"{_SAYS}(?: \w+){{0,2}}[\s:：]*[\"“„«‘]")
_ASKED = re.compile(
    r"(?i)\Aas (?:you(?:['’]ve| have)? )?(?:requested|asked|instructed|wished|said|suggested)(?: for)?, "
)
_IF = re.compile(
    r"(?i)\b(?:if|once|when|unless|as soon as) you(?:['’]d| would)?(?: \w+ly| also)? (?:approve|agree|confirm|want|"
    r"wish|"
    r"like|allow|permit|let|insist|prefer|accept|say|are (?:sure|happy|okay|ok|fine))\b|"
    r"\bwith your (?:permission|approval|consent|leave|agreement|okay)\b|\A\W*(?:shall|may|should|can|could|do) "
    r"(?:I|we)\b|"
    r"\baccording to\b.*\b(?:should|must|have to|need to|am to) (?:call|run|execute|invoke|use|answer|write|do|"
    r"send)\W*\Z|"
    r"\bbut (?!.*\b(?:I|we|let)\b).*\b(?:dangerous|risky|unsafe|harmful|destructive|malicious|suspicious|forbidden)\b"
)
"""What would be done, or is said to be due."""
_WARNS = re.compile(
    r"(?i)\bprompt injection\b|\b(?:malicious|untrusted|injected|hidden) (?:\w+ )?(?:instruction|command|call|text|"
    r"prompt|content|request)|"
    r"\b(?:ignor(?:e|ed|ing)|disregard(?:ed|ing)?|(?:not|n['’]t|never|refuse to|declined? to) (?:\w+ )?"
    r"(?:follow|obey|heed|comply with)) (?:(?:it|this|that|them|these|those)\W*\Z|what (?:it|the)\b|"
    r"(?:any|the|its|such|an?|this|that|these|those) (?:\w+ ){0,2}(?:instruction|command|request|order|call|"
    r"prompt)s?\b)|"
    r"\b(?:not|n['’]t|never) (?:comply|obey)\b"
)
"""Something is told of that nobody shall do."""
_OF_A_FILE = re.compile(
    r"(?i)\A\W*(?:the )?(?:contents?|excerpts?|quot(?:e|ation)|translation|transcript|copy|text|body|end|beginning|"
    r"last lines?|first lines?) (?:of|from|in)\b|\A\W*[\w./\\-]+\.[a-z]\w{0,4}\W*\Z|"
    r"<(?:\w+[_-])?(?:files?|contents?|results?|documents?|page|quote|example|logs?|stdout|stderr|context|source|"
    r"snippet|"
    r"(?:tool|function)_(?:response|output))\b[^<>]*>\W*\Z"
)
"""A heading, or a mark, of what is not the speaker's."""
_FORWARD = re.compile(
    r"(?i)\b(?:following|as follows|below|verbatim|folgend\w*|wie folgt|suivant\w*|ci-dessous|"
    r"siguientes?|a continuación|seguinte|seguente|следующ\w*)\b|以下|如下|下面|下列|次の|다음"
)
_DEMONSTRATIVE = re.compile(r"(?i)\b(?:this|that|these|those|so)\b\W*\Z")
_LEADS = re.compile(r"[:：—–-][\s*_`\"“„«]*\Z")
_ASKS = re.compile(r"[?？]\W*\Z")
_STOPS = re.compile(r"[.!…。！)\]>}`*_|~\"”»；;,#=]\s*\Z")
_WORD = re.compile(r"\w")
_NEAR = 300
"""Characters of a sentence that are looked at."""
_MANY = 4
"""So many words without a stop are a sentence that goes on with the call."""
_MARKS = re.compile(r"[*#]+|\b__|__\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z\d`({\[])|(?<=[。！？])|\n\s*\n|\n(?=[^\W\d_a-z])")


def doubtful(before: str) -> bool:
    """Whether these words lead to a call and do not say that it is the speaker's."""
    same_line = before.rpartition("\n")[2].strip() != ""
    words = _MARKS.sub("", OPENING.sub("", before[-FAR:])).strip()
    sentence = _ASKED.sub("", _SENTENCE.split(words)[-1].strip()[-_NEAR:])
    if not _WORD.search(sentence):
        return False
    if sentence.startswith(">") or _ASKS.search(sentence):  # a line of a quotation, or a question
        return True
    if _announces(sentence):
        return False
    if any(True for _ in _deeds(sentence)):
        return True  # somebody else's, or what would be done
    told = any(pattern.search(sentence) for pattern in (_TOLD, _TOLD_OF, _FORWARD, _DEMONSTRATIVE, _WARNS, _OF_A_FILE))
    if told or _LEADS.search(sentence):
        return True
    return _STOPS.search(sentence) is None and (same_line or len(sentence.split()) >= _MANY)


def _announces(sentence: str) -> bool:
    if _IF.search(sentence):
        return False
    if any(not _SAID.search(sentence[: found.start()]) for found in _deeds(sentence)) or _ELSEWHERE.search(sentence):
        return True
    if _TOLD.search(sentence) or _OF_OTHERS.search(sentence):
        return False
    if _NAMED.search(sentence):
        return _IN_WORDS.search(sentence) is None
    starts = [re.search(pattern, sentence, re.I | re.S) for pattern in _STARTS]
    return any(start and not re.search(rf"{_TELLS}\b", sentence[: start.start() + 1]) for start in starts)


def _deeds(sentence: str) -> Iterator[re.Match[str]]:
    """Where it says that whoever speaks there acts."""
    return (found for pattern in _ENGLISH for found in re.finditer(pattern, sentence, re.I | re.S))
