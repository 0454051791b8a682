# torchmill in a container: `docker build -t torchmill .`, then
# `docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" torchmill train --help`.

FROM rust:1-bookworm AS build
# Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make install PREFIX=/opt/torchmill

FROM debian:bookworm-slim
# libgomp1 is OpenMP's runtime, which libtorch loads; the certificates are for fetch-data.
# Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgomp1 libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/torchmill /opt/torchmill
ENV PATH=/opt/torchmill/bin:$PATH
WORKDIR /data
