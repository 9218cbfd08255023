# Every target sets up what it needs: node packages here, system packages and the cluster's binaries in test/cluster.
SHELL := /bin/bash
.DEFAULT_GOAL := help
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "installing nodejs and npm (Debian packages)"; apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm; }
	npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: unit
unit: node_modules/.installed ## unit tests, seconds
	vitest run --project unit

.PHONY: test-model
test-model: node_modules/.installed ## 100,000 sequences through the model of the sharing protocol
	$(NODE) test/model/main.ts

.PHONY: test-mutations
test-mutations: node_modules/.installed ## break one guard of the sharing protocol after the other: the tests must notice
	$(NODE) test/model/mutations.ts

.PHONY: test
test: node_modules/.installed ## all tests: unit, integration (real API server), driver (with csi-sanity), e2e (local cluster)
	$(NODE) test/run.ts

.PHONY: integration
integration: node_modules/.installed ## tests against a real kube-apiserver and etcd
	$(NODE) test/run.ts integration

.PHONY: driver
driver: node_modules/.installed ## tests of the local cluster's CSI driver, without a cluster
	$(NODE) test/run.ts driver

.PHONY: e2e
e2e: node_modules/.installed ## tests on the local cluster; one by name: make e2e NAME='clones share'
	$(if $(NAME),vitest run --project e2e -t '$(NAME)',$(NODE) test/run.ts e2e)

.PHONY: test-crash
test-crash: node_modules/.installed ## the controller is killed after each of its writes, in three stories (half an hour)
	$(NODE) test/crash/main.ts $(ARGS)

.PHONY: test-freshness
test-freshness: node_modules/.installed ## 200 clones of a disk that is being written, while controllers die
	$(NODE) test/freshness/main.ts

.PHONY: test-faults
test-faults: node_modules/.installed ## every fault switch of the local storage, alone and in pairs, with a table
	vitest run --project faults

.PHONY: test-import-faults
test-import-faults: node_modules/.installed ## 200 imports from a server that does everything wrong, killed now and then
	$(NODE) test/import/faults/main.ts $(ARGS)

.PHONY: test-import-hostile
test-import-hostile: node_modules/.installed ## images and servers that mean no good: refused or read rightly, traced, within limits
	$(NODE) test/import/hostile/main.ts $(ARGS)

.PHONY: test-topology
test-topology: node_modules/.installed ## tests on a local cluster of two nodes with node-local storage
	vitest run --project topology

.PHONY: demo
demo: node_modules/.installed ## the main job on a local cluster: one download, one snapshot, eleven disks
	$(NODE) test/demo/demo.ts

.PHONY: bench-clone
bench-clone: node_modules/.installed ## 200 clones: onesnap, a snapshot per clone, bare restores, side by side on the local cluster
	$(NODE) test/bench/clones.ts

.PHONY: bench-copy
bench-copy: node_modules/.installed ## host-assisted copy against qemu-img and cp, on loop devices of this machine
	$(NODE) test/bench/copy.ts

.PHONY: bench-import
bench-import: node_modules/.installed ## imports over HTTP against a local conversion, a download first, and nbdkit; some of it: ARGS='--image qcow2 --case 20/50'
	$(NODE) test/bench/import.ts $(ARGS)

.PHONY: lint
lint: node_modules/.installed ## types, lint, format, dead code
	tsc
	oxlint --type-aware --deny-warnings
	biome format
	knip

.PHONY: format
format: node_modules/.installed ## write the format
	biome format --write

.PHONY: cluster
cluster: node_modules/.installed ## the local cluster of this checkout: start it, or find it running; with two nodes: NODES=2
	@$(NODE) test/cluster/main.ts up

.PHONY: cluster-down
cluster-down: node_modules/.installed ## stop the local cluster and remove everything of it
	@$(NODE) test/cluster/main.ts down

.PHONY: cluster-status
cluster-status: node_modules/.installed ## what this machine holds for the local cluster
	@$(NODE) test/cluster/main.ts status

.PHONY: binaries
binaries: node_modules/.installed ## build the cluster's programs (once per user and version: 20 minutes on 2 cores)
	@$(NODE) test/cluster/main.ts binaries

.PHONY: images
images: node_modules/.installed ## build the controller and worker images into .onesnap/images
	@$(NODE) images/build.ts
