# onesnap's two images:
#
#     docker build --target controller -t onesnap/controller .
#     docker build --target worker -t onesnap/worker .
#
# `make images` builds this same file where no image registry answers: WORKER_BASE and CONTROLLER_BASE name bases made from
# Debian packages, and a ready folder takes the place of the `build` stage (--build-context build=…). Both ways lay the
# program out with images/assemble.ts.
#
# Neither image has an entrypoint. Programs, the same paths in both:
#     /usr/local/bin/node /app/dist/bin/controller.js     (controller)
#     /usr/local/bin/node /app/dist/bin/importer.js       (worker)
#     /usr/local/bin/node /app/dist/bin/copier.js         (worker)
# They write nothing outside /tmp and mounted volumes: readOnlyRootFilesystem works.

ARG BUILD_BASE=docker.io/library/node:24-bookworm-slim
# Without a Node of its own: both images run the Node that package-lock.json pins, the one that the tests ran on.
# A release pins all of these by digest.
ARG CONTROLLER_BASE=gcr.io/distroless/cc-debian12
ARG WORKER_BASE=docker.io/library/debian:12-slim

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY images/assemble.ts images/compile.ts images/
COPY src src
RUN node_modules/.bin/node images/compile.ts dist && node_modules/.bin/node images/assemble.ts dist /out

FROM ${WORKER_BASE} AS worker
# A base made for this image (images/bases.ts) has them.
RUN command -v qemu-img >/dev/null && command -v xz >/dev/null \
	|| { apt-get update \
		&& apt-get install -y --no-install-recommends ca-certificates qemu-utils xz-utils \
		&& rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*; }
COPY --from=build /out/node /usr/local/bin/node
COPY --from=build /out/worker/node_modules /app/node_modules
COPY --from=build /out/app /app
ENV NODE_ENV=production
# The window of fetched bytes lives outside the JavaScript heap; a small heap keeps the whole worker within its memory.
ENV NODE_OPTIONS="--max-semi-space-size=2 --max-old-space-size=64"
WORKDIR /app
# qemu's user on Debian and in KubeVirt's pods: the owner of disk images.
USER 107:107
ARG VERSION=dev
LABEL org.opencontainers.image.title="onesnap worker" \
	org.opencontainers.image.description="Fills a claim: imports a disk image or copies another claim" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.version="${VERSION}"

FROM ${CONTROLLER_BASE} AS controller
COPY --from=build /out/node /usr/local/bin/node
COPY --from=build /out/controller/node_modules /app/node_modules
COPY --from=build /out/app /app
ENV NODE_ENV=production
WORKDIR /app
USER 65532:65532
CMD ["/usr/local/bin/node", "/app/dist/bin/controller.js"]
ARG VERSION=dev
LABEL org.opencontainers.image.title="onesnap controller" \
	org.opencontainers.image.description="Imports a disk image once and shares its blocks with every clone" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.version="${VERSION}"
