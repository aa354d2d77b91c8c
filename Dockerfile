# `llmdispatch serve` in a container. Keys come from the environment, never from the image:
#   docker build -t llmdispatch . && docker run -p 8000:8000 -e OPENAI_API_KEY -e CLIENT_KEY -v ./dispatch.yaml:/etc/dispatch.yaml llmdispatch
# The configuration needs `server: {host: 0.0.0.0, api_keys: ["${CLIENT_KEY}"]}`: without keys another address than loopback is refused.
FROM python:3.13-slim
COPY . /src
RUN pip install --no-cache-dir '/src[server,prometheus,redis]' && rm -rf /src && useradd --create-home llmdispatch
USER llmdispatch
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["llmdispatch"]
CMD ["serve", "--config", "/etc/dispatch.yaml"]
