# Works with nothing but Python 3.11-3.13, git and make; everything else is brought here.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of a fitting version; the bootstrap explains when there is none.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && exit; done; echo python3)
BIN := .venv/bin
PACKAGES := proto thinker_server actor_server gateway services reporting
WEB := gateway/web
RESULTS := docs/benchmarks
ARGS ?=

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup:  ## bring everything a call needs, without starting it
	@$(PYTHON) -m services.bootstrap

setup-tests:
	@$(PYTHON) -m services.bootstrap --with-tests

run: setup  ## set up and start; prints the URL (ARGS="--tls" for phones)
	@exec $(BIN)/xstreamer up $(ARGS)

test: setup-tests  ## set up and prove it, with a real LiveKit server and a real browser
	@$(BIN)/pytest -m "not gpu" --durations=30 $(ARGS)

unit: setup  ## only the tests that need no service
	@$(BIN)/pytest tests/unit $(ARGS)

check: setup  ## format, lint, types, import rules, known vulnerabilities; Python and web
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(PYTHON) -m services.bootstrap.npm run check
	$(BIN)/python -m services.audit

fmt:  ## format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(PYTHON) -m services.bootstrap.npm run format

doctor:  ## name each missing piece and the command that repairs it
	@test -x $(BIN)/xstreamer || $(PYTHON) -m services.bootstrap --only packages
	@$(BIN)/xstreamer doctor

fuzz: OUT ?= $(RESULTS)/fuzz.json
fuzz: setup-tests  ## hostile messages, requests, pictures and page data; no crash, no 5xx (10 minutes)
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m tests.fuzz --out $(OUT) $(ARGS)

bench-decoder: OUT ?= $(RESULTS)/decoder.json
bench-decoder: setup  ## milliseconds per frame of the face decoder
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.codec.mesh.benchmark --out $(OUT) $(ARGS)

bench-actor: OUT ?= $(RESULTS)/actor.json
bench-actor: setup  ## milliseconds, memory and endurance of the Actor on one CPU thread
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.benchmark --out $(OUT) $(ARGS)

bench-ltx: OUT ?= $(RESULTS)/ltx.json
bench-ltx: setup  ## ways to decode LTX latents live: released size on a GPU, a quarter of its width on a CPU
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.codec.ltx.benchmark --out $(OUT) $(ARGS)

bench-saving: OUT ?= $(RESULTS)/saving.json
bench-saving: setup  ## what each step costs by which an overloaded call saves work
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.saving_benchmark --out $(OUT) $(ARGS)

bench-start: OUT ?= $(RESULTS)/start.json
bench-start: setup  ## seconds and memory of a start with everything installed
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m services.callbench.start --out $(OUT) $(ARGS)

bench-thinker: OUT ?= $(RESULTS)/thinker.json
bench-thinker: SPEECH ?= build/speech.json
bench-thinker: setup  ## what GLM-4-Voice costs: full size on a GPU, tiny on a CPU; random weights
	@mkdir -p $(dir $(OUT)) $(dir $(SPEECH))
	$(BIN)/python -m actor_server.speech.benchmark --out $(SPEECH)
	$(BIN)/python -m thinker_server.glm4voice.benchmark --speech $(SPEECH) --out $(OUT) $(ARGS)

# On the GPU one program has it to itself: the Thinker's half first, then the Actor's.
bench-gpu: OUT ?= $(RESULTS)/gpu.json
bench-gpu: THINKER ?= build/thinker.json
bench-gpu: setup  ## what the paper's size costs on a GPU, random weights; tiny on a CPU, which judges nothing
	@mkdir -p $(dir $(OUT)) $(dir $(THINKER))
	@$(MAKE) --no-print-directory bench-thinker OUT=$(THINKER) ARGS=
	$(BIN)/python -m actor_server.gpubench --thinker $(THINKER) --out $(OUT) $(ARGS)

bench-speech: OUT ?= $(RESULTS)/speech.json
bench-speech: setup  ## real-time factor of GLM-4-Voice's speech decoder: released size on a GPU, tiny on a CPU
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.speech.benchmark --out $(OUT) $(ARGS)

bench-call: OUT ?= $(RESULTS)/call.json
bench-call: setup-tests  ## latency, frame rate and lip-sync of real calls
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m services.callbench --out $(OUT) $(ARGS)

chaos: OUT ?= $(RESULTS)/chaos.json
chaos: setup-tests  ## kill each process during calls, twenty times (ARGS="--rounds 20")
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m tests.chaos --out $(OUT) $(ARGS)

soak: OUT ?= $(RESULTS)/soak.json
soak: HOURS ?= 1
soak: setup-tests  ## one call of HOURS=1: memory, handles, lip-sync, frame rate, identity over time
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m services.soak --hours $(HOURS) --out $(OUT) $(ARGS)

network: OUT ?= $(RESULTS)/network.json
network: setup-tests  ## calls over bad networks, in network namespaces, measured (ARGS="outage turn")
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m tests.integration.network $(OUT) $(ARGS)

train-smoke: OUT ?= build/smoke
train-smoke: setup  ## train the Actor for a minute, to see that it trains (DATA=DIR)
	$(BIN)/python -m actor_server.training.train --data $(DATA) --out $(OUT) --config smoke --steps 100 $(ARGS)

# Steps, not minutes: the same data, seeds and machine give the same weights.
train-nano: OUT ?= build/nano
train-nano: DEVICE ?= --threads 1
train-nano: setup  ## train an Actor like the shipped one on one CPU core, an hour or two (DATA=DIR, DEVICE="--device cuda")
	$(BIN)/python -m actor_server.training.train --data $(DATA) --out $(OUT) --steps 8000 --compile $(DEVICE) $(ARGS)
	$(BIN)/python -m actor_server.training.distil --teacher $(OUT)/actor.safetensors --data $(DATA) \
		--out $(OUT)/nano_actor.safetensors --steps 640 $(DEVICE)

ablations: OUT ?= build/ablations
ablations: DEVICE ?= --threads 1
ablations: setup  ## the paper's ablation table: train each row on equal short budgets, evaluate (DATA=DIR)
	$(BIN)/python -m actor_server.training.ablations --data $(DATA) --out $(OUT) --steps 1200 --compile $(DEVICE) $(ARGS)
	$(BIN)/xstreamer assets fetch --all
	$(BIN)/python -m actor_server.evaluation --data $(DATA) --weights $(OUT)/full.safetensors \
		--ablations $(OUT)/ablated --out $(RESULTS)/ablations.json \
		--seconds 460 --seen-seconds 0 --fvd-windows 0 --drift-minutes 0 --diversity-seeds 0

eval-nano: OUT ?= $(RESULTS)/eval-nano.json
eval-nano: DATA ?= var/nano-data
eval-nano: HTML ?= build/eval-nano.html
eval-nano: SHEETS ?= build/sheets
eval-nano: setup  ## does the Actor's face follow the voice, is it alive (DATA= the built dataset, HTML= the page)
	@mkdir -p $(dir $(OUT))
	$(BIN)/xstreamer assets fetch --all
	$(BIN)/python -m actor_server.evaluation.portrait_sheets --out $(SHEETS)
	$(BIN)/python -m actor_server.evaluation --data $(DATA) --out $(OUT) --html $(HTML) \
		--portrait-sheets $(SHEETS) $(ARGS)

eval-portraits: OUT ?= build/portraits
eval-portraits: DATA ?= var/nano-data
eval-portraits: setup  ## the paper's protocol: each of PORTRAITS=DIR answers each of QUERIES=DIR; videos, figures
	$(BIN)/xstreamer assets fetch --all
	$(BIN)/python -m actor_server.evaluation.portraits --portraits $(PORTRAITS) --queries $(QUERIES) \
		--data $(DATA) --out $(OUT) $(ARGS)

sample: OUT ?= build/sample.mp4
sample: setup  ## two minutes of a call as a video (ARGS="--portrait FILE --voice NAME")
	@mkdir -p $(dir $(OUT))
	$(BIN)/python -m actor_server.evaluation.sample_call --out $(OUT) $(ARGS)

sheets: OUT ?= build/sheets
sheets: setup  ## contact sheets of all kinds of portraits, to be looked at (docs/models/portraits.md)
	$(BIN)/python -m actor_server.evaluation.portrait_sheets --out $(OUT) $(ARGS)
