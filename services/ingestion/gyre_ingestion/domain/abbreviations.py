"""Words that end in a full stop without ending the sentence (English, German, French, Spanish)."""

import re

_PATTERN_DOTS = re.compile(r"[.\s]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never end a sentence.
INNER = _words(
    "mr mrs ms messrs dr drs prof rev hon gen col capt lt sgt cmdr maj sen rep gov st mt vs viz cf "
    "eg ie al approx resp incl excl esp dept univ assn "
    "zb dh ua uä od ca ggf evtl inkl exkl zzgl bzgl bzw vgl bspw sog hr fr frl dipl ing nr str "
    "va idr og uu zt zzt svw gem lt entspr hrn einschl abzgl lfd sen jun geb gest verh hl chr "
    "mio mrd "
    "m mm mme mlle mgr pex càd env éd réf tél boul bd "
    "ee sr sra srta ud uds vd vds dra dña pej aprox avda núm pág págs tel teléf prov excmo ilmo"
)

# End a sentence only when a word follows that usually opens one.
EITHER = _words(
    "etc am pm us uk usa eu inc ltd co corp bros jr phd md ba ma bsc msc ave blvd rd "
    "jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun "
    "min max sec std sek hrs yrs ft oz lb lbs km cm kg usw uvm uam tgl mtl jährl jhd jh ag "
    "eeuu ac dc av ext est"
)

# Never end a sentence when a number follows.
BEFORE_NUMBER = _words(
    "no nos nr fig figs vol vols p pp pg pgs ch chap sec art abs ziff kap abb tab s par para "
    "ver rev eq ex núm pág n approx cap lfg"
)

OPENERS = _words(
    "the this that these those it its in if you we they he she i a an for but and however when "
    "please to your our there here no not as at on with after before what how why who where "
    "der die das wir sie es ein eine im in bei wenn bitte dies diese dieser dann danach auch und "
    "aber er ihr ihre für mit nach vor was wie warum wer wo hier "
    "le la les un une il elle nous vous ils elles ce cette ces pour si dans mais et "
    "el los las una unos unas este esta estos para si en pero y usted nosotros"
)

MONTHS = _words(
    "januar jänner februar märz april mai juni juli august september oktober november dezember "
    "jan feb mär apr jun jul aug sep sept okt nov dez"
)

# A number after one of these is a German ordinal: "am 3. Mai", "die 2. Auflage".
BEFORE_ORDINAL = _words(
    "am der dem den des die das vom zum zur im ab bis seit beim ein eine einen einer jeder jede "
    "jeden jedes und oder"
)


def plain(word: str) -> str:
    """The word as the lists above write it: lower case, no dots or spaces."""
    return _PATTERN_DOTS.sub("", word).lower()
