# Any service, the edge, and the provisioner: --build-arg SERVICE=ingestion
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ARG FOLDER=services/${SERVICE}
ARG LIBRARIES
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /venv && pip install --no-cache-dir --constraint constraints.txt uv
COPY libs libs
COPY infra/feast infra/feast
COPY ${FOLDER} ${FOLDER}
RUN uv pip install --python /venv/bin/python --no-cache --compile-bytecode \
        --constraints constraints.txt --build-constraints constraints.txt \
        ./libs/contracts "./libs/runtime[postgres,otlp]" "./${FOLDER}" ${LIBRARIES} \
    && uv pip uninstall --python /venv/bin/python pip setuptools

FROM ${PYTHON_IMAGE}
ARG SERVICE
ENV PATH=/venv/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MODULE=gyre_${SERVICE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin gyre
COPY --from=build /venv /venv
COPY infra/docker/healthy.py /usr/local/lib/gyre/healthy.py
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["sh", "-c", "exec python -m \"$MODULE\" \"$@\"", "--"]
