# The short verbs, thin over CMake presets. PRESET=asan make test runs the tests under that preset.
PRESET ?= dev
JOBS ?= $(shell nproc)
.PHONY: run build test test-fast test-long bench fuzz check format gen install package clean

build:
	cmake --preset release >/dev/null && cmake --build build/release -j $(JOBS)

run: build
	build/release/bin/godwit up $(ARGS)

# Every test but those labelled long. ctest's own summary comes last. A test that met a starved machine is
# given a second try; ctest prints both.
test: check
	cmake --preset $(PRESET) >/dev/null && cmake --build build/$(PRESET) -j $(JOBS)
	ctest --test-dir build/$(PRESET) --output-on-failure -j $(JOBS) -LE long --repeat until-pass:2

# Unit tests only; what the sanitizer presets run.
test-fast:
	cmake --preset $(PRESET) >/dev/null && cmake --build build/$(PRESET) -j $(JOBS) --target fast_tests
	ctest --test-dir build/$(PRESET) --output-on-failure -j $(JOBS) -L fast

# The long ones: hundreds of kills, thousands of reloads.
test-long:
	cmake --preset $(PRESET) >/dev/null && cmake --build build/$(PRESET) -j $(JOBS)
	ctest --test-dir build/$(PRESET) --output-on-failure -L long

bench:
	cmake --preset bench >/dev/null && cmake --build build/bench -j $(JOBS)
	tools/bench build/bench $(BENCH)

# FUZZ_SECONDS per target, starting from the committed corpora.
fuzz:
	cmake --preset fuzz >/dev/null && cmake --build build/fuzz -j $(JOBS)
	tools/run-fuzz build/fuzz $(FUZZ)

check:
	tools/check

format:
	git ls-files -co --exclude-standard '*.cc' '*.h' | grep -v '\.gen\.' | xargs -r clang-format -i

gen:
	tools/gen

install: build
	cmake --install build/release $(if $(PREFIX),--prefix $(PREFIX))

# Debian packages, in build/release/packages.
package: build
	cpack --config build/release/CPackConfig.cmake -G DEB -B build/release/packages

clean:
	rm -rf build
