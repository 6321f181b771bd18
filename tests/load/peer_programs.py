"""What the peers run, in their own environment: one JSON line in, one out.

peer_programs.py langchain | sentence-transformers  <Hugging Face model directory>
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def langchain(model: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Split by the model's tokens, embed, put into FAISS: the way its documentation shows."""
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    embeddings = HuggingFaceEmbeddings(
        model_name=model, encode_kwargs={"normalize_embeddings": True}
    )
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        tokenizer, chunk_size=254, chunk_overlap=0
    )
    embeddings.embed_documents(["warm " * 200] * 32)

    def run(question: dict[str, Any]) -> dict[str, Any]:
        begin = time.perf_counter()
        texts = question["texts"]
        chunks = splitter.create_documents(texts) if question["split"] else texts
        if question["split"]:
            store = FAISS.from_documents(chunks, embeddings)
        else:
            store = FAISS.from_texts(chunks, embeddings)
        found = len(store.similarity_search(question["query"], k=5))
        return {"seconds": time.perf_counter() - begin, "chunks": len(chunks), "found": found}

    return run


def sentence_transformers(model: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`encode` with its defaults; float32."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")
    encoder.encode(["warm " * 200] * 32)

    def run(question: dict[str, Any]) -> dict[str, Any]:
        begin = time.perf_counter()
        vectors = encoder.encode(question["texts"], normalize_embeddings=True)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "vectors": vectors.tolist() if question["vectors"] else []}

    return run


PROGRAMS = {"langchain": langchain, "sentence-transformers": sentence_transformers}


def main(name: str, model: str) -> None:
    run = PROGRAMS[name](model)
    for line in sys.stdin:
        answer = json.dumps(run(json.loads(line)))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
