#!/usr/bin/python3
"""tidy: the rules of STYLE.md and ARCHITECTURE.md that a machine can hold, checked over the whole tree.

    tools/tidy.py [--root DIR] [PATH…]     prints `path:line: rule: message`, exits 1 when a rule is broken

Rules are functions over a Tree (paths and texts), so that tools/tidy_test.py can run each on a few lines. An exception
to a rule is a line `rule path reason…` in tools/tidy_allow.txt; one that nothing needs any more is an error itself.
"""
import argparse
import os
import re
import subprocess
import sys

LINE_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 1000
FILE_LINES_WANTED = 600
FILE_BYTES_MAX = 1 << 20

# ---- the tree ------------------------------------------------------------------------------------------------------


class Tree:
    """Files by path, relative to the root. Value type."""

    def __init__(self, files):
        self.files = files
        self._code = {}

    def paths(self, *endings):
        return [p for p in sorted(self.files) if p.endswith(endings)]

    def cpp(self):
        return [p for p in self.paths(".cc", ".h") if p.startswith("src/")]

    def code(self, path):
        """The text of a C++ file with comments and literals blanked out; lines and columns stay."""
        if path not in self._code:
            self._code[path] = strip_cpp(self.files[path])
        return self._code[path]


class Finding:
    def __init__(self, path, line, rule, message, warning=False):
        self.path, self.line, self.rule, self.message, self.warning = path, line, rule, message, warning

    def __str__(self):
        return "%s:%d: %s%s: %s" % (self.path, self.line, "warning: " if self.warning else "", self.rule, self.message)


_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)


def strip_cpp(text):
    def blank(match):
        found = match.group(0)
        if found[0] in "/":
            return re.sub(r"[^\n]", " ", found)
        if found[0] == "R":
            return re.sub(r"[^\n]", " ", found)
        return found[0] + " " * (len(found) - 2) + found[-1]

    # Include lines keep their names.
    lines = _TOKEN.sub(blank, text).split("\n")
    originals = text.split("\n")
    for i, line in enumerate(originals):
        if line.startswith("#include"):
            lines[i] = line
    return "\n".join(lines)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def read_tree(root):
    try:
        listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True,
                                check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in (".git", "build", "node_modules", "__pycache__")]
            listed += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    files = {}
    for path in filter(None, listed):
        try:
            with open(os.path.join(root, path), "rb") as f:
                files[path] = f.read().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, IsADirectoryError):
            pass  # deleted, not yet committed; or a nested checkout
    return Tree(files)


# ---- layers --------------------------------------------------------------------------------------------------------

THIRD_PARTY = [  # header prefix → the name that layers.txt uses
    ("absl/", "absl"), ("fmt/", "fmt"), ("google/protobuf/", "protobuf"), ("nghttp2/", "nghttp2"),
    ("openssl/", "openssl"), ("boost/beast", "beast"), ("boost/asio", "beast"), ("boost/json", "json"),
    ("zlib.h", "zlib"), ("yaml-cpp/", "yaml"), ("crypt.h", "crypt"),
]
TEST_ONLY = ("gtest/", "gmock/", "benchmark/")


def parse_layers(text):
    """Folder → (folders it may include, third parties), in the order of the file."""
    layers = {}
    for line in text.split("\n"):
        if not re.match(r"[a-z]", line):
            continue
        folder, uses, third = [cell.split() for cell in line.split("|")]
        layers[folder[0]] = (uses, third)
    return layers


def folder_of(path, layers):
    """The folder of layers.txt that an include path ("env/posix/x.h") or a file below src/ belongs to."""
    parts = path.split("/")[:-1]
    while parts:
        name = "/".join(parts)
        if name in layers:
            return name
        parts.pop()
    return None


def is_test(path):
    return bool(re.search(r"_(test|bench|fuzz)\.cc$", path)) or "/testing/" in path or path.startswith("src/sim/")


def check_layers(tree):
    """The table itself: a row uses only rows above it, and each folder of src/ has a row."""
    layers = parse_layers(tree.files.get("layers.txt", ""))
    seen = []
    for folder, (uses, _) in layers.items():
        for used in uses:
            if used not in seen:
                yield Finding("layers.txt", 1, "layers", "%s uses %s, which has no row above it" % (folder, used))
        seen.append(folder)
    for path in tree.cpp():
        if folder_of(path[len("src/"):], layers) is None:
            yield Finding(path, 1, "layers", "its folder has no row in layers.txt")


def check_includes(tree):
    layers = parse_layers(tree.files.get("layers.txt", ""))
    for path in tree.cpp():
        folder = folder_of(path[len("src/"):], layers)
        if folder is None:
            continue
        uses, third = layers[folder]
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            match = re.match(r'#\s*include\s+([<"])([^>"]+)[>"]', line)
            if match:
                problem = judge_include(path, folder, uses, third, layers, *match.groups())
                if problem:
                    yield Finding(path, number, "include", problem)


def judge_include(path, folder, uses, third, layers, bracket, name):
    if name.endswith(".pb.h"):
        return None if "proto" in uses + [folder] else "%s may not use generated protobuf classes" % folder
    for prefix, library in THIRD_PARTY:
        if name.startswith(prefix):
            allowed = third + layers.get("base", ([], []))[1] + (["protobuf"] if "proto" in uses else [])
            return None if library in allowed else "%s may not use %s (layers.txt)" % (folder, library)
    if name.startswith(TEST_ONLY):
        return None if is_test(path) else "only tests include %s" % name
    if bracket == "<":
        return None
    if "/" not in name:
        return 'write "folder/%s"' % name
    target = folder_of(name, layers)
    if target is None:
        return "%s is in no folder of layers.txt" % name
    if "/testing/" in name and not is_test(path):
        return "%s is for tests only" % name
    if target in [folder] + uses or (is_test(path) and target in ("env/posix", "env/sim", "env", "base")):
        return None
    return "%s may not include %s (layers.txt)" % (folder, target)


# ---- bans ----------------------------------------------------------------------------------------------------------

SYSTEM_HEADERS = (r"<(unistd|fcntl|poll|netdb|dirent|pthread|signal|termios|time|dlfcn|ifaddrs)\.h>|"
                  r"<(sys|netinet|arpa|net|linux)/[a-z0-9_/]+\.h>|<(csignal|ctime|filesystem)>")
BANS = [  # (pattern over code, replacement, does it hold in tests too?)
    (r"#include (%s)" % SYSTEM_HEADERS, "system calls live in env/posix; take an env::Env", False),
    (r"#include <fstream>|\bstd::[io]?fstream\b", "read and write through env::FileSystem", False),
    (r"#include <(thread|future|semaphore|latch|barrier)>|\bstd::(jthread|thread|async)\b",
     "an object belongs to an env::Executor; ask env::Env for one", False),
    (r"#include <(mutex|shared_mutex|condition_variable)>|\bstd::(mutex|shared_mutex|condition_variable)\b",
     "structs cross threads, locks do not: post to the owner's env::Executor", False),
    (r"#include <random>|\bstd::(random_device|mt19937(_64)?|default_random_engine)\b|(?<![\w.>:])s?rand\(",
     "Prng with a seed, or env::Env::Random", False),
    (r"\b(system_clock|steady_clock|high_resolution_clock)::now\b|(?<![\w.>:])(gettimeofday|clock_gettime)\(|"
     r"(?<![\w.>:])time\((nullptr|NULL|0)\)", "env::Clock", True),
    (r"\bsleep_(for|until)\b|(?<![\w.>:])(u|nano)?sleep\(", "env::Executor::RunAfter", True),
    (r"(?<![\w.>])(std::)?(secure_)?getenv\(", "configuration is handed in (config::Environment)", False),
    (r"\bstd::(cout|cerr|clog)\b", "Logger, or the tool's own output stream", False),
    (r"(?<![\w.>:])(std::)?(_exit|quick_exit|abort|exit)\(", "return a Status; CHECK for bugs; DieOnDiskError", False),
    (r"\bco_(await|return|yield)\b", "functions run to completion; post a task", True),
    (r"\bIsSimulated\b", "nobody asks which world it is in; put the difference behind env", True),
    (r"\b(thread_local)\b", "state belongs to an object with one owner", False),
    (r"\bgoto\b", "a function with an early return", True),
    (r"\b(shared|weak)_ptr<(const )?bool>", "Lifeline (base/lifeline.h) says whether an object still lives", True),
]
BANS = [(re.compile(p), r, t) for p, r, t in BANS]


def check_bans(tree):
    for path in tree.cpp():
        if path.startswith("src/env/posix/"):
            continue
        code = tree.code(path)
        for pattern, replacement, in_tests in BANS:
            if is_test(path) and not in_tests:
                continue
            for match in pattern.finditer(code):
                yield Finding(path, line_of(code, match.start()), "ban",
                              "`%s`: use instead: %s" % (match.group(0).strip(), replacement))


UNORDERED = re.compile(
    r"\b(?:std::unordered_(?:multi)?(?:map|set)|absl::(?:flat|node)_hash_(?:map|set))<[^;{}()]*?>\s+(\w+)\s*"
    r"(?:;|=|\{|GUARDED_BY)")


def check_unordered(tree):
    """Unordered containers are looked up, never walked: their order is not the same on two machines."""
    for path in tree.cpp():
        code = tree.code(path)
        names = set(UNORDERED.findall(code))
        header = re.sub(r"\.cc$", ".h", path)
        if header != path and header in tree.files:
            names |= set(UNORDERED.findall(tree.code(header)))
        if not names:
            continue
        any_name = "|".join(sorted(names))
        walked = re.compile(r"for \([^;()]*:\s*(?:this->)?(%s)\s*\)|\b(%s)\.c?begin\(\)" % (any_name, any_name))
        for match in walked.finditer(code):
            name = match.group(1) or match.group(2)
            yield Finding(path, line_of(code, match.start()), "unordered",
                          "%s is unordered and must not be iterated; use std::map or absl::btree_map" % name)


# ---- shape ---------------------------------------------------------------------------------------------------------


def check_lines(tree):
    for path in tree.paths(".cc", ".h", ".proto") + [p for p in tree.paths(".py") if p.startswith("tools/")]:
        limit = LINE_MAX if path.endswith((".cc", ".h")) else 120
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            if len(line) > limit:
                yield Finding(path, number, "line", "%d columns, at most %d" % (len(line), limit))
            if line != line.rstrip() or "\t" in line:
                yield Finding(path, number, "blank", "tab or blanks at the end")


def check_files(tree):
    for path in tree.paths(".cc", ".h", ".py", ".proto"):
        count = tree.files[path].count("\n")
        if count > FILE_LINES_MAX:
            yield Finding(path, 1, "file", "%d lines, at most %d: split it by subject" % (count, FILE_LINES_MAX))
        elif count > FILE_LINES_WANTED:
            yield Finding(path, 1, "file", "%d lines, wanted are %d" % (count, FILE_LINES_WANTED), warning=True)


def functions(code):
    """(first line, last line, head) of each function body outside other functions."""
    stack, statement_start = [], 0
    for match in re.finditer(r"[{};]", code):
        symbol = match.group(0)
        if symbol == "{":
            head = code[statement_start:match.start()].strip()
            inside = any(kind == "function" for kind, _, _ in stack)
            stack.append((scope_kind(head, inside), statement_start, head))
            statement_start = match.end()
        elif symbol == "}":
            if stack:
                kind, start, head = stack.pop()
                if kind == "function":
                    start += len(code[start:]) - len(code[start:].lstrip())
                    yield line_of(code, start), line_of(code, match.start()), head
            statement_start = match.end()
        else:
            statement_start = match.end()


def scope_kind(head, inside):
    if inside:
        return "block"
    head = re.sub(r"^\s*#.*$", "", head, flags=re.M).strip()
    if re.match(r"(inline\s+)?namespace\b|extern\b", head):
        return "namespace"
    if re.search(r"(^|[\s>])(class|struct|union|enum)\s[^()=]*$", head):
        return "class"
    if head.endswith("=") or head.endswith(",") or not head:
        return "block"
    return "function" if re.search(r"\)", head) else "block"


def check_functions(tree):
    for path in tree.cpp():
        for first, last, head in functions(tree.code(path)):
            count = last - first + 1
            if count > FUNCTION_LINES_MAX:
                name = re.split(r"\(", re.sub(r"\s+", " ", head))[0].split(" ")[-1]
                text = "%s has %d lines, at most %d" % (name, count, FUNCTION_LINES_MAX)
                yield Finding(path, first, "function", text)


def check_headers(tree):
    for path in tree.cpp():
        text = tree.files[path]
        lines = text.split("\n")
        if "namespace quoin" not in text and not path.endswith("_main.cc"):
            yield Finding(path, 1, "namespace", "a folder is a namespace: quoin::<folder>")
        if not path.endswith(".h"):
            continue
        if not text.startswith("//"):
            yield Finding(path, 1, "header", "begins with a comment that says what the header is for")
        if "#pragma once" not in text:
            yield Finding(path, 1, "header", "has no #pragma once")
        if re.search(r"^\s*using namespace", tree.code(path), re.M):
            yield Finding(path, 1, "header", "no `using namespace` in headers")
        top = text.split("#pragma once")[0]
        for number, line in enumerate(lines, 1):
            if re.match(r"class (\[\[\w+\]\] )?\w+[^;]*\{", line) or re.match(r"class \w+[^;{]*:", line):
                comment = []
                above = number - 2
                while above >= 0 and re.match(r"//|template\b|\s+typename", lines[above]):
                    comment.append(lines[above])
                    above -= 1
                if not re.search(r"[Tt]hread|alue type|[Cc]onstant", "\n".join(comment) + top):
                    yield Finding(path, number, "thread", "say which thread may use it (`Thread:`), or `Value type`")


# ---- words and files -----------------------------------------------------------------------------------------------

TEXT_ENDINGS = (".cc", ".h", ".py", ".sh", ".md", ".txt", ".proto", ".cmake", ".json", ".js", ".yml", ".yaml", ".tla")
# Spelled in pieces, so that this file passes its own check.
WORDS = [
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"), "unfinished work is an issue, not a comment"),
    (re.compile(r"(?<![\w.])/(wo" r"rk|ro" r"ot|ho" r"me)/\w"), "a path of somebody's machine"),
    (re.compile(r"deb\.debian\." r"org|registry\.npm" r"js|proxy\.golang\." r"org|py" r"pi\.org|pythonhosted\." r"org|"
                r"crates\." r"io"), "the host of a package registry"),
]


def check_words(tree):
    for path in sorted(tree.files):
        if not path.endswith(TEXT_ENDINGS) and "." in os.path.basename(path)[1:]:
            continue
        text = tree.files[path]
        for pattern, why in WORDS:
            for match in pattern.finditer(text):
                yield Finding(path, line_of(text, match.start()), "word", "`%s`: %s" % (match.group(0), why))


KNOWN = [re.compile("(?:%s)$" % p) for p in (
    r"src/([a-z_0-9]+/)+[a-z_0-9]+\.(cc|h)", r"src/([a-z_0-9]+/)+(testdata|corpus)/[\w./-]+",
    r"proto/[a-z_0-9]+\.proto",
    r"tests/([a-z_0-9]+/)*[\w-]+\.(py|sh|md|json|js|txt|yml|cc|h)", r"tests/([a-z_0-9]+/)*testdata/[\w./-]+",
    r"tools/[\w-]+(\.py|\.txt|\.sh)?", r"tools/long/[\w-]+", r"cmake/[\w.]+\.cmake", r"fuzz/[\w./-]+",
    r"examples/([\w-]+\.(cc|h|py)|CMakeLists\.txt)",
    r"bench/[\w./-]+\.(py|json|md|cc|h|txt)|bench/[\w-]+", r"docs/([a-z_0-9]+/)*[\w.-]+\.(md|svg|png|json)",
    r"changelog\.d/[\w.-]+\.md", r"\.ci/[\w-]+", r"\.github/[\w./-]+",
    r"[A-Z]+(\.md)?|Makefile|CMakeLists\.txt|CMakePresets\.json|layers\.txt",
    r"\.(clang-format|clang-tidy|gitignore|gitattributes)")]


def check_unknown(tree):
    for path, text in sorted(tree.files.items()):
        if not any(p.match(path) for p in KNOWN):
            yield Finding(path, 1, "unknown", "nothing knows this kind of file here")
        if len(text) > FILE_BYTES_MAX:
            yield Finding(path, 1, "size", "%d bytes; large files do not belong here" % len(text))


def check_documents(tree):
    for path in tree.paths(".md"):
        text = tree.files[path]
        if not text.startswith("# "):
            yield Finding(path, 1, "title", "begins with a title: `# …`")
        for match in re.finditer(r"\]\(([^)#\s]+)(#[^)]*)?\)", text):
            target = match.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            full = os.path.normpath(os.path.join(os.path.dirname(path), target))
            if full not in tree.files and not any(p.startswith(full + "/") for p in tree.files):
                yield Finding(path, line_of(text, match.start()), "link", "%s is not there" % target)


def check_map(tree):
    """ARCHITECTURE.md's code map names exactly the folders of layers.txt, and each of them exists."""
    text = tree.files.get("ARCHITECTURE.md", "")
    layers = parse_layers(tree.files.get("layers.txt", ""))
    section = re.search(r"^## Code map$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if section is None:
        yield Finding("ARCHITECTURE.md", 1, "map", "has no section `## Code map`")
        return
    mapped = re.findall(r"^### `src/([a-z_/0-9]+)`", section.group(1), re.M)
    mapped += [name for group in re.findall(r"^### (`src/.*)$", section.group(1), re.M)
               for name in re.findall(r"`src/([a-z_/0-9]+)`", group)[1:]]
    for name in sorted(set(mapped) - set(layers)):
        yield Finding("ARCHITECTURE.md", 1, "map", "src/%s has no row in layers.txt" % name)
    for name in sorted(set(layers) - set(mapped) - {"proto"}):
        yield Finding("ARCHITECTURE.md", 1, "map", "src/%s is missing from the code map" % name)


def check_flags(tree):
    """A flag that the table calls built is read by main: nothing is ignored in silence."""
    table = tree.files.get("src/config/flag_table.cc", "")
    main = "\n".join(tree.code(p) for p in tree.cpp() if p.startswith("src/main/"))
    if not main:
        return
    for match in re.finditer(r'^    \{"([a-z0-9-]+)",.*?\},$', table, re.M | re.S):
        member = re.search(r"\bIN\(([\w.]+)\)", match.group(0))
        if member is None or re.search(r"\bk(NoEffect|Warned|Refused|Tls)\b", match.group(0)):
            continue
        name = member.group(1).split(".")[-1]
        if not re.search(r"\b%s\b" % name, main):
            yield Finding("src/config/flag_table.cc", line_of(table, match.start()), "flag",
                          "--%s counts as built, but src/main never reads %s" % (match.group(1), name))


CHECKS = [check_layers, check_includes, check_bans, check_unordered, check_lines, check_files, check_functions,
          check_headers, check_words, check_unknown, check_documents, check_map, check_flags]

# ---- exceptions, and running it ------------------------------------------------------------------------------------

ALLOW = "tools/tidy_allow.txt"


def parse_allow(text):
    """(rule, path) → (line, reason)."""
    allowed = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            cells = line.split(None, 2)
            allowed[(cells[0], cells[1] if len(cells) > 1 else "")] = (number, cells[2] if len(cells) > 2 else "")
    return allowed


def run(tree):
    allowed = parse_allow(tree.files.get(ALLOW, ""))
    used, findings = set(), []
    for check in CHECKS:
        for finding in check(tree):
            key = (finding.rule, finding.path)
            if key in allowed and not finding.warning:
                used.add(key)
            else:
                findings.append(finding)
    for key, (line, reason) in allowed.items():
        if not reason:
            findings.append(Finding(ALLOW, line, "allow", "an exception needs its reason"))
        if key not in used:
            findings.append(Finding(ALLOW, line, "allow", "%s in %s is not needed any more" % key))
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
    parser.add_argument("paths", nargs="*", help="report only what lies below these")
    options = parser.parse_args()
    findings = run(read_tree(options.root))
    if options.paths:
        findings = [f for f in findings if f.path.startswith(tuple(options.paths))]
    for finding in sorted(findings, key=lambda f: (f.warning, f.path, f.line)):
        print(finding)
    errors = [f for f in findings if not f.warning]
    print("tidy: %d broken, %d warnings" % (len(errors), len(findings) - len(errors)))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
