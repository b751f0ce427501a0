# `make run` and `make test` are all that a newcomer needs on a fresh Debian 12. Everything is done by tools/x.
.PHONY: build run demo test bench sim fmt tidy clean deps

build: deps
	@tools/x build

run: deps
	@tools/x run

demo: deps
	@tools/x demo

test:
	@tools/x ci

bench: deps
	@tools/x bench

sim: deps
	@tools/x long sim $(if $(SEEDS),--seeds $(SEEDS))

fmt:
	@tools/x fmt

tidy:
	@tools/x tidy

clean:
	@tools/x clean

deps:
	@tools/x install-deps build
