"""Steps in which a model writes: generate, condense."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gyre_inference.domain.citations import Citation
from gyre_inference.domain.editing import GroundedText, Verbatim
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import Ending, FinishReason, Message, ModelRequest
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import one_line
from gyre_inference.domain.values import Written
from gyre_inference.ports import LanguageModel
from gyre_inference.use_cases.chains.events import StepEvent, StepText
from gyre_inference.use_cases.chains.run import Doing, Writing
from gyre_inference.use_cases.chains.running import Steps
from gyre_inference.use_cases.chains.timing import budget_told
from gyre_inference.use_cases.chains.work.requesting import (
    Arguments,
    arguments_of,
    editor_for,
    given_messages,
    request_of,
    told_as_json,
    turns_in,
)
from gyre_inference.use_cases.prompting import Prompting
from gyre_inference.use_cases.rollouts.shadowing import Seen, Shadows, Told, cited
from gyre_inference.use_cases.telling import tell


class Generate:
    """A text from a prompt or from messages; from sentences with their citations."""

    def __init__(self, model: LanguageModel, prompting: Prompting, shadows: Shadows) -> None:
        self._model = model
        self._prompting = prompting
        self._shadows = shadows

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        grounds = doing.given.get("grounds")
        if grounds is not None and not isinstance(grounds, Grounds):
            raise InvalidRequest({f"{doing.step_id}.grounds": "must come from a `select` step"})
        writing, arguments = doing.run.writings[doing.step.name], arguments_of(doing, grounds)
        messages = await self._messages(doing, writing, arguments)
        request = request_of(doing, writing, messages, grounds)
        editor = editor_for(writing.prompt, grounds)
        notes, begin = _Notes(doing), time.monotonic()
        is_output = doing.is_output
        async with aclosing(tell(self._model, request, notes, editor)) as texts:
            with budget_told(doing.run):
                async for text in texts:
                    yield StepText(doing.step_id, text, is_output)
        told = Told(notes.text, *cited(editor), time.monotonic() - begin)
        await _conclude(doing, notes, editor, await self._model.version(writing.model))
        if is_output:
            self._shadows.offer(_seen(doing, request, arguments, told))

    async def _messages(
        self, doing: Doing, writing: Writing, arguments: Arguments
    ) -> tuple[Message, ...]:
        prompt, ledger = writing.prompt, doing.run.ledger
        if prompt is None:
            messages = given_messages(doing)
        else:
            told = f"{prompt.name}/{prompt.version}"
            declared = {k: v for k, v in arguments.items() if k in prompt.content.arguments}
            with ledger.step("render", told, parent=doing.step_id):
                messages = await self._prompting.messages(prompt, declared)
        if doing.is_output:
            ledger.know(messages=messages, prompt_arguments=told_as_json(arguments))
        return messages


class Condense:
    """The last question of a conversation as one that stands alone; the first one as it is."""

    def __init__(self, model: LanguageModel, prompting: Prompting) -> None:
        self._model = model
        self._prompting = prompting

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        question = one_line(str(doing.given["question"]))
        turns = turns_in(doing, doing.given["conversation"] or [])
        if not turns:
            doing.output = Written(question)
            return
        writing = doing.run.writings[doing.step.name]
        assert writing.prompt is not None
        told = [{"role": turn.role, "content": one_line(turn.content)} for turn in turns]
        arguments = {"question": question, "conversation": told}
        messages = await self._prompting.messages(writing.prompt, arguments)
        request = request_of(doing, writing, messages, None)
        notes = _Notes(doing)
        async with aclosing(tell(self._model, request, notes, Verbatim())) as texts:
            with budget_told(doing.run):
                async for text in texts:
                    yield StepText(doing.step_id, text, doing.is_output)
        doing.output = Written(one_line(notes.text) or question, finish=notes.finish)


def _seen(doing: Doing, request: ModelRequest, arguments: Arguments, told: Told) -> Seen:
    known, grounds = doing.run.ledger.known, doing.given.get("grounds")
    return Seen(
        tenant=known.caller.tenant,
        workload=known.workload,
        experiment=known.experiment,
        answer_id=known.answer_id,
        request=request,
        prompt=doing.run.writings[doing.step.name].prompt,
        grounds=grounds if isinstance(grounds, Grounds) else None,
        arguments=arguments,
        told=told,
    )


class _Notes:
    """The chain's own text goes into the answer's record, others' only into their step's."""

    def __init__(self, doing: Doing) -> None:
        self._doing = doing
        self._texts: list[str] = []
        self.finish = FinishReason.STOP

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def said(self, text: str) -> None:
        self._texts.append(text)
        if self._doing.is_output:
            self._doing.run.ledger.said(text)

    def ended(self, ending: Ending) -> None:
        self.finish = ending.reason
        self._doing.usage = ending.usage
        self._doing.run.spend(ending.usage)
        ledger = self._doing.run.ledger
        ledger.ended(ending) if self._doing.is_output else ledger.used(ending)


async def _conclude(
    doing: Doing, notes: _Notes, editor: GroundedText | Verbatim, model_version: str
) -> None:
    citations: tuple[Citation, ...] = ()
    finish = notes.finish
    if isinstance(editor, GroundedText):
        citations = editor.citations
        finish = FinishReason.REFUSED if editor.refused else finish
        verdict = f"{len(citations)} kept, {editor.dropped} dropped"
        doing.run.ledger.judge("citations", verdict)
    doing.output = Written(notes.text, citations, finish)
    if doing.is_output:
        doing.run.ledger.know(
            citations=citations, finish_reason=finish, model_version=model_version
        )
