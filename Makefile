# What people and CI call. The work is done by deploy/local/stack and by cargo.

STACK := deploy/local/stack
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz killed chaos up down status logs migrate reset build lint fmt doc bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Set everything up, run the main job, show what happened, stop what was started
	@$(STACK) demo

test: ## Set everything up and run all tests (FILTER=name: only those; SHOW=1: with what they print; LINT=1: lint, too)
	@$(STACK) test

fuzz: ## Send requests made from our OpenAPI document, for a long time (EXAMPLES=500: so many a call)
	@$(STACK) fuzz

killed: ## Kill the workers of long tasks at random moments, for a long time (SEEDS=50: so many runs of each)
	@$(STACK) killed

chaos: ## Let everything go wrong under load, for a long time, and judge (SEED=7: that run again)
	@$(STACK) chaos

up: ## Start servers, API and workers in the background (WORKERS=4: four workers)
	@$(STACK) up

down: ## Stop all of it
	@$(STACK) down

status: ## Show what runs, and where
	@$(STACK) status

logs: ## Follow the logs (LOGS=api: only those whose name begins so)
	@$(STACK) logs

migrate: ## Bring the local database up to date
	@$(STACK) migrate

reset: ## Stop everything and delete the private data
	@$(STACK) reset

build: ## Build both programs as they are shipped, into target/dist
	cargo build --profile dist --locked -p millrace-api -p millrace-worker

lint: ## Check formatting, clippy and the shell scripts
	@$(STACK) lint

fmt: ## Format the code
	cargo fmt --all

doc: ## Build the documentation of the code
	cargo doc --locked --workspace --no-deps

bench: ## Run the benchmarks against the private servers (BENCH=latency: only that one)
	@$(STACK) bench
