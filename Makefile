# make lab       opens the course in JupyterLab
# make test      runs all tests
# make check     looks at the code itself: ruff and mypy, in seconds
# make quick     runs those that a change most likely breaks: no browser, no storms
# make outputs   runs every notebook and stores its outputs
# make cells     writes the cells of the exercises into the notebooks, from their texts
# make bench     measures the servers beside others: ten minutes. OPTIONS=--quick: one
#
# The first run sets up .venv. PYTHON=/path/to/python3 chooses the Python for it.

.PHONY: lab test check quick cells outputs bench

lab: .venv/lab
	@.venv/bin/python -m jupyterlab notebooks --LabApp.default_url=/lab/tree/00_start_here.ipynb \
		-y --ServerApp.log_level=WARN --LabApp.log_level=WARN \
		$$([ "$$(id -u)" != 0 ] || echo --allow-root) \
		$$([ "$$BROWSER$$DISPLAY$$WAYLAND_DISPLAY" ] || echo --no-browser)

# Thousands of processes import the course: what one has compiled is stored for the next, also where the environment forbids it.
test quick: export PYTHONDONTWRITEBYTECODE =

# loadgroup hands the tests out one by one, in the order that tests/conftest.py says.
test: .venv/test
	@.venv/bin/python -m pytest -n 4 --dist loadgroup

check: .venv/test
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy

quick: .venv/test
	@.venv/bin/python -m pytest -n 4 -m 'not slow and not browser'

cells: .venv/test
	@.venv/bin/python tests/exercise_cells.py

outputs: .venv/test
	@.venv/bin/python tests/outputs.py

bench: .venv/test
	@PYTHONPATH=tests .venv/bin/python -m bench $(OPTIONS)

# .venv/whole names the folder that .venv was made in; it is missing while pip is at work. So a .venv that was cut off
# or moved, or that lost its Python, is found here and made anew.
$(shell [ "$$(cat .venv/whole 2>/dev/null)" = "$$(pwd -P)" ] && .venv/bin/python -c '' 2>/dev/null || \
	rm -f .venv/whole .venv/lab .venv/test)

.venv/test: extra = [test]
.venv/lab .venv/test: pyproject.toml Makefile course_lib/jupyterlab.json course_lib/jupyter_server.json
	@[ -e .venv/whole ] || { $(make_venv); }
	@echo "Installing JupyterLab and the course into .venv. The first time takes a minute or two."
	@rm -f .venv/whole; \
	.venv/bin/python .ci/install.py .venv/pip.log --retries 2 --editable '.$(extra)'; status=$$?; \
	pwd -P >.venv/whole; [ $$status = 0 ] || { $(stop) "The packages could not be installed:" \
		"check that PyPI can be reached, then run make again (.venv/pip.log says more)."; }
	@touch .venv/lab $@

# Takes the first Python that runs (a pyenv shim may be there and fail) and is new enough.
define make_venv
[ -n "$$PYTHON" ] && set -- "$$PYTHON" || set -- python3 python3.14 python3.13 python3.12 python3.11; \
for python in "$$@" ""; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
done; \
[ -n "$$python" ] || { $(stop) "The course needs Python 3.11 or newer (tried: $$*)." \
	"Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; }; \
"$$python" -c 'import select; select.epoll' 2>/dev/null || { $(stop) \
	"The course needs epoll, which only Linux has: use Linux, WSL2, a virtual machine or a container."; }; \
"$$python" -c 'import ensurepip, venv' 2>/dev/null || { $(stop) \
	"$$python has no venv module: install it (Debian, Ubuntu: apt install python3-venv), then run make again."; }; \
"$$python" -m venv --clear .venv
endef

stop = fail() { echo "$$*" >&2; exit 1; }; fail
