# The retraining service and, apart from it, the environment in which its jobs train.
# TORCH=cpu is the small build; `auto` takes the one for the machine's GPU.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG TORCH=cpu
WORKDIR /source
COPY constraints.txt pyproject.toml ./
RUN python -m venv /venv && pip install --no-cache-dir --constraint constraints.txt uv \
    && uv venv /venv-models
COPY libs libs
COPY infra/feast infra/feast
COPY services/retraining services/retraining
RUN uv pip install --python /venv/bin/python --no-cache --compile-bytecode \
        --constraints constraints.txt --build-constraints constraints.txt \
        ./libs/contracts "./libs/runtime[postgres,otlp]" ./infra/feast "./services/retraining[service]" \
    && uv pip uninstall --python /venv/bin/python pip setuptools
RUN uv pip install --python /venv-models/bin/python --no-cache --compile-bytecode \
        --torch-backend "${TORCH}" --constraints constraints.txt --build-constraints constraints.txt \
        "./services/retraining[recipes]"

FROM ${PYTHON_IMAGE}
# libgomp: torch; the slim image has none.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin gyre
COPY --from=build /venv /venv
COPY --from=build /venv-models /venv-models
COPY infra/docker/healthy.py /usr/local/lib/gyre/healthy.py
ENV PATH=/venv/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["python", "-m", "gyre_retraining"]
