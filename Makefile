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
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: unit
unit: node_modules/.installed ## unit tests, seconds
	vitest run --project unit

.PHONY: lint
lint: node_modules/.installed ## types, lint, format, dead code
	tsc
	oxlint --type-aware --deny-warnings
	biome format
	knip

.PHONY: format
format: node_modules/.installed ## write the format
	biome format --write
