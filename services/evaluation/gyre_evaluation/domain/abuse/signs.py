"""Signs of an attempt against the assistant in what a person wrote, each a rule with a name.

A sign alone proves nothing: `scoring.py` weighs them. English, with the commonest turns in German,
French, Spanish, Italian and Portuguese.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

_GAP = r"(?:\W+\w+){0,4}?\W+"
_ORDERS = r"(?:instruct\w*|directi\w+|prompts?|rules|guidelines|programming)"
_SECRET = (
    r"(?:pass(?:word|code|phrase|key)s?|(?:secret|api|access|private)\W+(?:key|code|token"
    r"|word)s?|secrets?|credentials|confidential\w*)"
)
_ASK = (
    r"(?:reveal|share|tell|give|show|confirm|disclose|provide|send|print|output|display"
    r"|repeat|recite|leak|expose|say|write|spell|translate|summari[sz]e|encode|what(?:\W?s|"
    r" is| are| was| were)?)"
)
_REPLY = r"(?:response|reply|answer|message|output)"

PATTERNS: Mapping[str, str] = {
    "override": (
        rf"\b(?:ignore|disregard|forget|overlook|override|bypass|neglect|skip|dismiss)\b{_GAP}"
        rf"(?:{_ORDERS}|above|previous instruct\w+|prior|before|told|learned|instructed)\b"
    ),
    "override_foreign": (
        r"\b(?:игнорир\w+|забуд\w+)\b(?:\W+\w+){0,3}?\W+(?:инструкц\w+|указани\w+|правил\w*)"
        r"|(?:忽略|无视|忘记|無視).{0,8}(?:指令|指示|说明|規則)|지시\w*.{0,6}(?:무시|잊)|निर्देश\w*.{0,10}अनदेखी"
        r"|\b(?:ignorier\w*|vergiss|vergessen sie|ignora\w*|olvida\w*|ignore[sz]?|oublie\w*"
        r"|dimentica\w*|esque[cç]a\w*)\b(?:\W+\w+){0,5}?\W+(?:anweisung\w*|befehle?|vorgaben"
        r"|instruc\w+"
        r"|consignes|istruzioni|instru[cç]\w+|órdenes|ordres)"
    ),
    "reply_shaping": (
        rf"\b(?:in|to|of|from|modify|enhance|augment|provide|render|convert|write|give) (?:your"
        rf"|the) {_REPLY}\b"
    ),
    "role": (
        r"\b(?:from now on|you are now|you will (?:now )?act|act(?:ing)? as (?:an?|if|the)"
        r"|pretend (?:to be|you|that)"
        r"|role\W?play\w*|immerse yourself|simulat\w+|you(?:'re| are) going to (?:act|pretend"
        r"|be)|take on the (?:role|persona))\b"
    ),
    "unbound": (
        r"\b(?:do anything now|developer mode|jail\W?br[eo]\w+|no (?:special )?(?:restrictions"
        r"|filter\w*|limits|rules|limitations|guidelines)"
        r"|without (?:any )?(?:restrictions|filter\w*|limits|censor\w*|rules)|un(?:filtered"
        r"|censored|restricted)|broken free"
        r"|typical confines|evil|amoral|no moral\w*)\b|(?-i:\bDAN\b)"
    ),
    "mode": (
        r"\b(?:system|maintenance|override|debug|admin\w*|god|test|safe|security|enforcement"
        r"|diagnostic) (?:mode|override|reset|upgrade|audit|access)\b"
        r"|\bsudo\b|\bsecurity audit\b"
    ),
    "authority": (
        r"\b(?:i(?:'m| am)|as) (?:your|the) (?:\w+ ){0,2}?(?:developer|maintainer|creator|admin\w*"
        r"|owner|programmer|engineer|operator|president|officer|ceo)\b"
        r"|\bas an ai\b|\byou were developed by\b|\bi am god\b"
        r"|\blaw enforcement (?:mode|override)\b"
    ),
    "secret": (
        rf"\b{_ASK}\b(?:\W+\w+){{0,8}}?\W+(?:your|our|its|system|secret|hidden"
        rf"|that)\b(?:\W+\w+){{0,2}}?\W+{_SECRET}\b"
        rf"|\b(?:your|our|secret|system|admin\w*) {_SECRET}\b"
    ),
    "secret_foreign": (
        r"\b(?:contrase[nñ]a|mot de passe|passwort|parola d.ordine|senha|clave secreta"
        r"|geheim\w*)\b.*\?|パスワード|密码|密碼|비밀번호|पासवर्ड|пароль"
    ),
    "own_rules": (
        rf"\b{_ASK}\b{_GAP}(?:system|initial|original|hidden|developer|internal|secret|your)"
        rf" (?:\w+ )?{_ORDERS}\b"
        rf"|\b(?:system|initial|hidden) (?:prompt|message|instruct\w+)\b"
    ),
    "repeat_above": (
        r"\b(?:repeat|print|output|copy|recite|translate|return|write"
        r" out)\b(?:\W+\w+){0,4}?\W+"
        r"(?:(?:everything|all|text|words|sentences?|lines?"
        r"|content\w*)\b(?:\W+\w+){0,3}?\W+)?(?:above|preceding|verbatim|word for word)\b"
    ),
    "other_people": (
        r"\b(?:list of|all(?: the)?|other|another|different|every|any) (?:\w+ )?(?:users?"
        r"|customers?|clients?|accounts?|people)(?:'s?|s')? \w*"
        r"(?:\W+\w+){0,3}?\W*(?:balance\w*|e?\W?mails?|address\w*|password\w*|data\w*|details"
        r"|names?|numbers?|information)\b"
        r"|\b(?:the|this) user(?:'s|s'| )"
    ),
    "decode": (
        r"\b(?:base\W?64|rot\W?13|hex(?:adecimal)?|morse|cipher|pig latin|leet\w*|binary"
        r" (?:code"
        r"|string)|ascii|unicode|reverse[ds]? (?:order|string)"
        r"|(?:decode|encode) (?:this|the|it|your)|backwards)\b"
    ),
    "assemble": (
        r"\bparts? (?:1|one|a)\b|\b(?:three|two) (?:strings|variables|parts)\b|\b\w = \w \+"
        r" \w\b"
        r"|\bconcatenat\w+|\binterlac\w+|\bcombine a\b|\bsplit (?:the|it|your|this)\b"
    ),
    "fiction": (
        r"\b(?:imagine|suppose(?! to)|hypothetical\w*|fictional|in (?:a|this) (?:\w+"
        r" )?(?:world"
        r"|scenario|story|game|future|universe|society)|let's (?:say|assume|pretend|play))\b"
    ),
    "dialogue": (
        r"(?:^|\s)(?:q|user|human|assistant|system|ai)\s?:[\s\S]*(?:\s)(?:a|q|user|human"
        r"|assistant|system|ai)\s?:"
        r"|<\W?(?:system|im_start|inst|user|assistant)\b|\[/?(?:inst|system|gpt|dan)\b"
        r"|\{\w+\.\w+\}"
    ),
    "alter_text": (
        r"\b(?:replace|substitut\w+|remove|scrambl\w*|jumble|misspell\w*|anagram\w*"
        r"|rearrang\w+"
        r"|insert|integrate|augment|enhance|modify|convert|introduce|group)\b"
        r"(?:\W+\w+){0,5}?\W+(?:letters?|vowels?|words?|spaces?|typos|symbols|sentences?"
        r"|statement|tip|headline|recommendation|reminder)\b"
    ),
    "bait": (r"\b(?:www\.|https?://|\w+\.(?:com|net|xyz|org)\b)"),
    "pressure": (
        r"\bi(?:'ll| will) (?:give|pay|be forced|turn|tip|lose)\b"
        r"|\bresearch shows\b|\btrust me\b|\bi promise\b|\bhave to answer\b"
    ),
}
_COMPILED: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE) for name, pattern in PATTERNS.items()
}
_WORD = re.compile(r"\w+")
LONG, VERY_LONG, REPEATED = 60, 200, 0.35
EXTRACTION = frozenset({"secret", "secret_foreign", "own_rules", "repeat_above", "other_people"})


def signs_in(text: str) -> frozenset[str]:
    """Names of the signs that `text` shows within its first 8,000 characters."""
    text = text[:8000]
    words = _WORD.findall(text.lower())
    found = {name for name, pattern in _COMPILED.items() if pattern.search(text)}
    return frozenset(found | {name for name, shows in _SHAPES.items() if shows(words)})


def _repeats(words: list[str]) -> bool:
    if len(words) < 12:
        return False
    commonest = Counter(words).most_common(1)[0][1]
    return len(set(words)) / len(words) < REPEATED or commonest >= max(10, 0.2 * len(words))


_SHAPES: Mapping[str, Callable[[list[str]], bool]] = {
    "long": lambda words: len(words) > LONG,
    "very_long": lambda words: len(words) > VERY_LONG,
    "repetition": _repeats,
}
NAMES = tuple(sorted({*PATTERNS, *_SHAPES}))
