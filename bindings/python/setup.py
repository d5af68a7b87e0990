"""Builds a wheel that carries the library: `pip install bindings/python`, or `pip wheel bindings/python`.

The library is LARDER_LIBRARY if that is set, else target/release/liblarder.so of the tree that this directory lies
in, built with cargo if it is not there. The extension `_hot` is optional: where there is no C compiler or no
Python.h, the package calls the library over ctypes alone, and says so in `larder.backend()`.
"""

import os
import pathlib
import shutil
import subprocess

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent


def library():
    named = os.environ.get("LARDER_LIBRARY")
    if named:
        return pathlib.Path(named)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    built = TREE / target / "release" / "liblarder.so"
    if not built.is_file():
        if not (TREE / "Cargo.toml").is_file():
            raise SystemExit("larder: set LARDER_LIBRARY to a liblarder.so, or install from the source tree")
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=TREE, check=True)
    return built


class BuildWithLibrary(build_py):
    """Copies the library beside the modules of what is built; the source tree stays as it is."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = pathlib.Path(self.build_lib) / "larder" / "liblarder.so.0"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(library(), target)
            # Seven eighths of it are for debuggers.
            if shutil.which("strip"):
                subprocess.run(["strip", "--strip-unneeded", target], check=True)


setup(
    cmdclass={"build_py": BuildWithLibrary},
    ext_modules=[
        Extension(
            "larder._hot",
            ["larder/_hot.c"],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            extra_compile_args=["-std=c11", "-O2"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
