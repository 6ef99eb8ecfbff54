# Two images from one file: `api` (small, without PyTorch) and `worker` (everything).
#   docker build --target api -t tonok-api .    docker build --target worker -t tonok-worker .
# Packages come from pip's default index, their hashes from the lock files. An index of one's own is a build
# secret, never a layer: docker build --secret id=pip,src=$HOME/.config/pip/pip.conf …

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/venv/bin:$PATH \
    TONOK_DATA_DIR=/data
# A number, so that an orchestrator can see that it is not root. /data belongs to it: a new volume starts as a copy.
RUN groupadd --gid 10001 tonok \
    && useradd --uid 10001 --gid tonok --no-create-home --home-dir /data tonok \
    && install --directory --owner=tonok --group=tonok /data
WORKDIR /app

FROM base AS api-packages
COPY requirements-api.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-api.lock

FROM base AS worker-packages
COPY requirements-worker.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-worker.lock

FROM worker-packages AS kernel
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY storage/ storage/
COPY worker/ worker/
RUN python -m worker.coding && ls worker/coding/kernel-*.so

FROM base AS api
COPY --from=api-packages /opt/venv /opt/venv
COPY storage/ storage/
# Of the worker the API imports names and specs alone; of the core it reads docstrings, to describe what exists.
COPY worker/ worker/
COPY service/ service/
USER 10001:10001
# Reached from outside the container, it asks for an API key and does not start before there is one:
#   docker run --rm -v tonok:/data tonok-api python -m service.keys create --owner me
ENV TONOK_HOST=0.0.0.0 \
    TONOK_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "service"]

FROM base AS worker
COPY --from=worker-packages /opt/venv /opt/venv
COPY storage/ storage/
COPY worker/ worker/
COPY --from=kernel /app/worker/coding/ worker/coding/
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "worker.health"]
CMD ["python", "-m", "worker"]
