# `llmdispatch serve` in a container. Keys come from the environment, never from the image:
#   docker build -t llmdispatch .
#   docker run -p 8000:8000 -e OPENAI_API_KEY -e CLIENT_KEY -v ./dispatch.yaml:/etc/dispatch.yaml:ro llmdispatch
# The configuration needs `server: {host: 0.0.0.0, api_keys: ["${CLIENT_KEY}"]}`: without keys another address than
# loopback is refused. `docker stop -t 40` lets answers under way end (`server.grace`, 30 s).
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY langchain_llmdispatch langchain_llmdispatch
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    pip install --no-cache-dir "$(echo /dist/*.whl)[server,prometheus,redis]" \
    && useradd --uid 1000 --create-home llmdispatch
# By number, so that Kubernetes sees that it is not root.
USER 1000
WORKDIR /home/llmdispatch
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, whatever the vendors do; /readyz says whether one of them may be tried.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["llmdispatch"]
CMD ["serve", "--config", "/etc/dispatch.yaml"]
