"""Builds a program without a framework, by the compiler on PATH that the board's environment names."""

from pathlib import Path

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
platform = Path(env.PioPlatform().get_dir())
prefix = board.get("build.prefix")
cpu = [f"-mcpu={board.get('build.cpu')}", *board.get("build.flags").split()]
if board.get("build.float_abi", ""):
    cpu.append(f"-mfloat-abi={board.get('build.float_abi')}")
# The same bytes wherever the project is: debuggers find its sources from there.
anywhere = f"-ffile-prefix-map={env['PROJECT_DIR']}=."

env.Replace(
    AR=f"{prefix}gcc-ar",
    AS=f"{prefix}gcc",
    CC=f"{prefix}gcc",
    CXX=f"{prefix}g++",
    LINK=f"{prefix}gcc",
    OBJCOPY=f"{prefix}objcopy",
    RANLIB=f"{prefix}gcc-ranlib",
    SIZETOOL=f"{prefix}size",
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZEPROGREGEXP=r"^(?:\.vectors|\.fast|\.text|\.ARM\.exidx|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.data|\.bss|\.arena)\s+(\d+).*",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
)
env.Append(
    ASFLAGS=[*cpu, anywhere],
    ASPPFLAGS=["-x", "assembler-with-cpp"],
    CCFLAGS=[*cpu, anywhere],
    LINKFLAGS=[
        *cpu,
        "-nostartfiles",
        "-Wl,--gc-sections",
        f"-Wl,-Map,.pio/build/{env['PIOENV']}/firmware.map",
        "-L",
        str(platform / "ld"),
    ],
    LIBS=["gcc"],
)

env.BuildSources("$BUILD_DIR/start", str(platform), f"+<{board.get('build.start')}>")
elf = env.BuildProgram()
size = env.Alias("size", elf, env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"))
AlwaysBuild(size)
Default([elf, size])
