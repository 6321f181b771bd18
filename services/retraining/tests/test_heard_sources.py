"""Events as sources: what is kept of them."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.common.v1.chunk_pb2 import Chunk
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.feedback.v1 import events_pb2 as feedback
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.inference.v1.answer_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_REFUSED,
    FINISH_REASON_STOP,
    ChatMessage,
)
from gyre.inference.v1.events_pb2 import AnswerRecord, RetrievedChunk
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_retraining.domain.sources import (
    BOOLEAN,
    TEXT,
    ChunkText,
    Judgement,
    Level,
    Message,
    Passage,
    RecordedAnswer,
    Review,
    State,
    StateChange,
)
from gyre_retraining.wire.sources import (
    answer_from,
    chunks_from,
    is_a_runs,
    judgement_from,
    quarantine_from,
    release_from,
    review_from,
    withdrawal_from,
)


def moment(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


def test_what_an_evaluation_asked_is_told_from_what_people_asked() -> None:
    assert is_a_runs(AnswerRecord(metadata={"gyre.source": "evaluation", "gyre.replay": "r1"}))
    assert not is_a_runs(AnswerRecord(metadata={"channel": "chat"}))


def test_an_answers_record_becomes_a_source() -> None:
    record = AnswerRecord(
        answer_id="a1",
        question="What is the fee?",
        completion="25\x00.",
        messages=[ChatMessage(role="user", content="Question: What is the fee?")],
        prompt_name="grounded",
        prompt_version="2",
        prompt_arguments={"question": '"What is the fee?"'},
        retrieved_chunks=[RetrievedChunk(chunk_id="c1", document_id="d1", revision=3, rank=1)],
        collection="help",
        model="reader",
        model_version="v1",
        principal="backend",
        end_user="u1",
        workload="answer",
        metadata={"language": "en", "consent": "yes"},
        request_time=moment(10, 500_000_000),
        finish_reason=FINISH_REASON_STOP,
    )
    assert answer_from(record) == RecordedAnswer(
        answer_id="a1",
        question="What is the fee?",
        completion="25\ufffd.",
        messages=(Message("user", "Question: What is the fee?"),),
        prompt_name="grounded",
        prompt_version="2",
        prompt_arguments={"question": '"What is the fee?"'},
        passages=(Passage("c1", "d1", 3, 1),),
        collection="help",
        model="reader",
        model_version="v1",
        principal="backend",
        end_user="u1",
        workload="answer",
        language="en",
        metadata={"language": "en", "consent": "yes"},
        time=10.5,
    )


def test_how_an_answer_ended_is_kept() -> None:
    ends = {
        reason: answer_from(AnswerRecord(finish_reason=reason))
        for reason in (FINISH_REASON_STOP, FINISH_REASON_REFUSED, FINISH_REASON_LENGTH)
    }
    assert [one.finished for one in ends.values()] == [True, True, False]
    assert [one.refused for one in ends.values()] == [False, True, False]


def test_the_question_of_an_old_record_is_what_the_user_said_last() -> None:
    said = [("user", "Hello?"), ("assistant", "Yes?"), ("user", "What is the fee?")]
    messages = [ChatMessage(role=role, content=text) for role, text in said]
    assert answer_from(AnswerRecord(messages=messages)).question == "What is the fee?"


def recorded(**given: object) -> feedback.FeedbackRecorded:
    said = pb.Feedback(feedback_id="f1", metric="helpful", **given)  # type: ignore[arg-type]
    return feedback.FeedbackRecorded(
        feedback=said,
        principal="backend",
        answer=pb.JudgedAnswer(answer_id="a1"),
        record_time=moment(30),
    )


def test_a_judgement_becomes_a_source() -> None:
    event = recorded(
        target=pb.FeedbackTarget(answer_id="a1"),
        value=pb.FeedbackValue(boolean=True),
        source=pb.FeedbackSource(kind=pb.SOURCE_KIND_PERSON, rater="r1"),
        give_time=moment(20),
        revision=2,
    )
    one = judgement_from(event)
    assert one == Judgement(
        principal="backend",
        feedback_id="f1",
        revision=2,
        answer_id="a1",
        metric="helpful",
        level=Level.ANSWER,
        value_kind=BOOLEAN,
        value=True,
        rater="r1",
        time=20.0,
    )
    assert (one.account, one.judgement_id) == ("backend/r1", "backend:f1")


def test_a_judgements_level_is_told_from_the_part_that_it_names() -> None:
    targets = {
        Level.CHUNK: pb.FeedbackTarget(answer_id="a1", chunk_id="c1"),
        Level.STEP: pb.FeedbackTarget(answer_id="a1", step_id="s1"),
        Level.CHAIN: pb.FeedbackTarget(chain_run_id="run"),
    }
    for level, target in targets.items():
        one = judgement_from(recorded(target=target, value=pb.FeedbackValue(text="Fine.")))
        assert (one.level, one.answer_id, one.value_kind) == (level, "a1", TEXT)
        assert (one.revision, one.time) == (1, 30.0)


def test_what_became_of_a_judgement_becomes_a_change() -> None:
    names = {"feedback_id": "f1", "revision": 2, "principal": "backend"}
    assert [
        withdrawal_from(feedback.FeedbackWithdrawn(**names)),
        quarantine_from(feedback.FeedbackQuarantined(**names)),
        release_from(feedback.FeedbackReleased(**names, counts=True)),
        release_from(feedback.FeedbackReleased(**names)),
    ] == [
        StateChange("backend", "f1", 2, state)
        for state in (State.WITHDRAWN, State.QUARANTINED, State.RELEASED, State.DROPPED)
    ]


def test_a_review_becomes_a_source() -> None:
    event = feedback.ReviewCompleted(
        item_id="i1",
        answer_id="a1",
        reviewer="rita",
        labels={"correct": '"right"'},
        correction="26.",
        complete_time=moment(40),
    )
    labels = {"correct": '"right"'}
    assert review_from(event) == Review("i1", "a1", "rita", False, labels, "26.", 40.0)


def test_a_documents_passages_become_sources() -> None:
    event = DocumentChunked(
        revision=DocumentRevision(document_id="d1", revision=3, collection="help"),
        source=DocumentSource(language="de"),
        chunks=[Chunk(chunk_id="c1", ordinal=4, text="Text.")],
    )
    assert chunks_from(event) == [ChunkText("c1", "d1", 3, "Text.", 4, "help", "de")]
