# Two stages: compile the wheel, then an image without a compiler.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --wheel-dir /wheels /source

FROM python:3.11-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels && useradd --system --create-home fastcount
USER fastcount
WORKDIR /home/fastcount
EXPOSE 8127/tcp 8128/udp
# inside of a container loopback reaches nobody: the compose file publishes on the host's loopback
ENV FASTCOUNT_HTTP=0.0.0.0:8127 FASTCOUNT_BINARY=0.0.0.0:8128
CMD ["fastcount", "serve"]
