# An image of Holdfast: one binary, a user of its own, data under /data.
#
#   docker build -t holdfast .
#   docker run -p 6379:6379 -v holdfast-data:/data holdfast
#   docker run ... holdfast --appendonly yes          # directives, as in redis.conf
#
# Where images cannot be pulled, name others: BUILD_IMAGE needs what BUILD_COMMAND needs, RUNTIME_IMAGE a C library.
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# Puts the binary into target/release.
ARG BUILD_COMMAND="cargo build --release --locked -p holdfast"
WORKDIR /src
COPY . .
RUN eval "${BUILD_COMMAND}" && mkdir -p /image/data /image/usr/local/bin && cp target/release/holdfast /image/usr/local/bin/holdfast

FROM ${RUNTIME_IMAGE}
COPY --from=build /image/usr/local/bin/holdfast /usr/local/bin/holdfast
# Numbers, as the image may have no list of users. A new volume takes its owner from here.
COPY --from=build --chown=999:999 /image/data /data
USER 999:999
WORKDIR /data
VOLUME /data
# Clients; the bus of a cluster.
EXPOSE 6379 16379
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/holdfast", "healthcheck"]
# Who can reach the port is the container's network's business, as in Redis's image.
ENTRYPOINT ["/usr/local/bin/holdfast", "--protected-mode", "no"]
