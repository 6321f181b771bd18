# The model server on NVIDIA GPUs: NVIDIA's own image, our engines added. Its torch, CUDA and
# TensorRT-LLM stay as they are, so nothing is installed with its dependencies.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt hatchling
COPY infra/triton infra/triton
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./infra/triton

FROM ${TRITON_IMAGE}
ENV PIP_BREAK_SYSTEM_PACKAGES=1
COPY constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --ignore-requires-python /wheels/*.whl \
    && pip install --no-cache-dir --no-deps --constraint /tmp/constraints.txt \
        accelerate openvino openvino-telemetry peft grpcio googleapis-common-protos \
        opentelemetry-api opentelemetry-sdk opentelemetry-semantic-conventions \
        opentelemetry-proto opentelemetry-exporter-otlp-common \
        opentelemetry-exporter-otlp-proto-common opentelemetry-exporter-otlp-proto-grpc \
    && rm /tmp/constraints.txt \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin gyre \
    && install -d -o gyre -g gyre /models
COPY --chmod=755 infra/docker/triton-gpu.sh /usr/local/bin/gyre-triton
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8001 8002
ENTRYPOINT ["/usr/local/bin/gyre-triton"]
