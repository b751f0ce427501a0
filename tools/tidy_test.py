#!/usr/bin/python3
"""Each rule of tidy.py on a few lines that keep it and a few that break it."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import tidy

LAYERS = """# a comment
base      |               | absl fmt
proto     |               | protobuf
env       | base          |
env/posix | base env      |
raft      | base          |
rpc       | base env      | nghttp2
state     | base proto    |
"""


def rules(check, files):
    """["path:line rule", …] of what `check` finds."""
    tree = tidy.Tree(dict({"layers.txt": LAYERS}, **files))
    return ["%s:%d %s" % (f.path, f.line, f.rule) for f in check(tree) if not f.warning]


def source(text, path="src/raft/a.cc"):
    return {path: text}


class Includes(unittest.TestCase):
    def check(self, line, path="src/raft/a.cc"):
        return len(rules(tidy.check_includes, {path: line}))

    def test_own_folder_and_the_row(self):
        self.assertEqual(0, self.check('#include "raft/log.h"'))
        self.assertEqual(0, self.check('#include "base/check.h"'))
        self.assertEqual(0, self.check('#include <vector>'))
        self.assertEqual(1, self.check('#include "env/clock.h"'))
        self.assertEqual(1, self.check('#  include "rpc/server.h"'))
        self.assertEqual(1, self.check('#include "nowhere/x.h"'))
        self.assertEqual(1, self.check('#include "log.h"'))

    def test_subfolder_is_its_own_row(self):
        self.assertEqual(1, self.check('#include "env/posix/posix_env.h"', "src/rpc/a.cc"))
        self.assertEqual(0, self.check('#include "env/posix/posix_env.h"', "src/rpc/a_test.cc"))
        self.assertEqual(0, self.check('#include "env/file.h"', "src/env/posix/a.cc"))
        self.assertEqual(1, self.check('#include "env/posix/posix_env.h"', "src/env/a.cc"))

    def test_testing_code_stays_in_tests(self):
        self.assertEqual(1, self.check('#include "raft/testing/x.h"'))
        self.assertEqual(0, self.check('#include "raft/testing/x.h"', "src/raft/a_test.cc"))
        self.assertEqual(0, self.check('#include "raft/testing/x.h"', "src/raft/testing/y.cc"))

    def test_third_parties(self):
        self.assertEqual(0, self.check('#include <absl/strings/x.h>'))
        self.assertEqual(0, self.check('#include <nghttp2/nghttp2.h>', "src/rpc/a.cc"))
        self.assertEqual(1, self.check('#include <nghttp2/nghttp2.h>'))
        self.assertEqual(1, self.check('#include <boost/json.hpp>'))
        self.assertEqual(1, self.check('#include <gtest/gtest.h>'))
        self.assertEqual(0, self.check('#include <gtest/gtest.h>', "src/raft/a_test.cc"))

    def test_generated_classes(self):
        self.assertEqual(0, self.check('#include "rpc.pb.h"', "src/state/a.cc"))
        self.assertEqual(1, self.check('#include "rpc.pb.h"'))
        self.assertEqual(1, self.check('#include "proto/rpc.pb.h"', "src/rpc/a.cc"))

    def test_comments_do_not_count_but_code_does(self):
        self.assertEqual(0, self.check('// #include "env/clock.h"'))


class Layers(unittest.TestCase):
    def test_rows_look_up_only(self):
        self.assertEqual([], rules(tidy.check_layers, {}))
        self.assertEqual(["layers.txt:1 layers"], rules(tidy.check_layers, {"layers.txt": "a | b |\nb | |\n"}))

    def test_each_folder_has_a_row(self):
        self.assertEqual(["src/other/a.cc:1 layers"], rules(tidy.check_layers, source("", "src/other/a.cc")))


class Bans(unittest.TestCase):
    def check(self, line, path="src/raft/a.cc"):
        return len(rules(tidy.check_bans, {path: line}))

    def test_each_way_out(self):
        for line in ("#include <unistd.h>", "#include <sys/socket.h>", "#include <thread>", "std::mutex lock;",
                     "x = rand();", "std::random_device d;", "auto t = std::chrono::system_clock::now();",
                     "sleep_for(x);", "usleep(3);",
                     'std::getenv("X");', "std::cout << 1;", "std::exit(1);", "co_await x;", "thread_local int x;",
                     "t = time(nullptr);", "if (env.IsSimulated()) {}"):
            self.assertEqual(1, self.check(line), line)

    def test_look_alikes(self):
        for line in ("// std::mutex", 'Log("sleep(1)");', "operand(x);", "clock.Now();", "on_exit(x);", "runtime(0);",
                     "my::rand(x);", "object.exit(1);"):
            self.assertEqual(0, self.check(line), line)

    def test_only_posix_and_partly_tests_are_free(self):
        self.assertEqual(0, self.check("#include <unistd.h>", "src/env/posix/a.cc"))
        self.assertEqual(0, self.check("std::thread t;", "src/raft/a_test.cc"))
        self.assertEqual(1, self.check("sleep_for(x);", "src/raft/a_test.cc"))


class Unordered(unittest.TestCase):
    def check(self, text, header=""):
        return len(rules(tidy.check_unordered, {"src/raft/a.cc": text, "src/raft/a.h": header}))

    def test_walks(self):
        declared = "std::unordered_map<int, std::vector<int>> map_;\n"
        self.assertEqual(1, self.check(declared + "for (auto& [k, v] : map_) {}"))
        self.assertEqual(1, self.check(declared + "auto i = map_.begin();"))
        self.assertEqual(0, self.check(declared + "auto i = map_.find(1);"))
        self.assertEqual(1, self.check("for (auto& x : set_) {}", "absl::flat_hash_set<int> set_;"))
        self.assertEqual(0, self.check("for (auto& x : set_) {}", "std::set<int> set_;"))


class Shape(unittest.TestCase):
    def test_lines(self):
        self.assertEqual([], rules(tidy.check_lines, source("x" * 100)))
        self.assertEqual(["src/raft/a.cc:2 line"], rules(tidy.check_lines, source("\n" + "x" * 101)))
        self.assertEqual([], rules(tidy.check_lines, source("é" * 100)))
        self.assertEqual(["src/raft/a.cc:1 blank"], rules(tidy.check_lines, source("x \n")))

    def test_functions(self):
        def body(lines):
            return "void F(int x) {\n" + "  y();\n" * (lines - 2) + "}\n"
        self.assertEqual([], rules(tidy.check_functions, source("namespace a {\n" + body(70) + "}\n")))
        self.assertEqual(["src/raft/a.cc:2 function"],
                         rules(tidy.check_functions, source("namespace a {\n" + body(71) + "}\n")))
        inside = "class C : public D {\n public:\n" + body(71) + "  int x_ = 0;\n};\n"
        self.assertEqual(["src/raft/a.cc:2 function"], rules(tidy.check_functions, source(inside)))

    def test_function_starts_where_its_head_starts(self):
        text = "int x;\n\n// a comment\nvoid\nF() {\n" + "  y();\n" * 70 + "}\n"
        self.assertEqual(["src/raft/a.cc:4 function"], rules(tidy.check_functions, source(text)))

    def test_tables_are_not_functions(self):
        table = "const int kTable[] = {\n" + "  F(1),\n" * 100 + "};\n"
        self.assertEqual([], rules(tidy.check_functions, source(table)))

    def test_braces_in_literals_do_not_count(self):
        text = 'void F() {\n  x = "{{{"; c = \'{\'; s = R"({{)";  // {\n}\nvoid G() {\n}\n'
        self.assertEqual(2, len(list(tidy.functions(tidy.strip_cpp(text)))))

    def test_files(self):
        self.assertEqual([], rules(tidy.check_files, source("\n" * 1000)))
        self.assertEqual(["src/raft/a.cc:1 file"], rules(tidy.check_files, source("\n" * 1001)))
        warnings = [f for f in tidy.check_files(tidy.Tree(source("\n" * 601))) if f.warning]
        self.assertEqual(1, len(warnings))


class Headers(unittest.TestCase):
    def check(self, text):
        return rules(tidy.check_headers, source(text, "src/raft/a.h"))

    def test_thread_line(self):
        top = "// For tests.\n#pragma once\nnamespace quoin::raft {\n"
        self.assertEqual(["src/raft/a.h:4 thread"], self.check(top + "class A {\n};\n"))
        self.assertEqual([], self.check(top + "// Thread: any.\nclass A {\n};\n"))
        self.assertEqual([], self.check(top + "// Value type.\ntemplate <typename T>\nclass A {\n};\n"))
        self.assertEqual([], self.check(top + "class A;\n"))
        self.assertEqual([], self.check("// Thread: any.\n#pragma once\nnamespace quoin::raft {\nclass A {\n};\n"))

    def test_the_rest(self):
        self.assertEqual(["src/raft/a.h:1 header"] * 2, self.check("namespace quoin::raft {}\n"))
        self.assertEqual(["src/raft/a.h:1 namespace"], self.check("// x\n#pragma once\n"))
        self.assertEqual(["src/raft/a.h:1 header"],
                         self.check("// x\n#pragma once\nnamespace quoin {}\nusing namespace std;\n"))


class Words(unittest.TestCase):
    def check(self, text, path="docs/a.md"):
        return len(rules(tidy.check_words, {path: text}))

    def test_words(self):
        self.assertEqual(1, self.check("TO" "DO: later"))
        self.assertEqual(1, self.check("see /ro" "ot/x"))
        self.assertEqual(1, self.check("https://registry.npm" "js.org/x"))
        self.assertEqual(0, self.check("a Todo list, homework/x, ../work/x"))
        self.assertEqual(0, self.check("TO" "DO", "docs/a.png"))


class Files(unittest.TestCase):
    def test_unknown(self):
        known = ["src/raft/log.cc", "src/raft/testdata/a b.txt".replace(" ", "_"), "tools/x", "Makefile", ".ci/run",
                 "docs/design/0001-house.md", "README.md", "tests/e2e/a_test.py", "proto/rpc.proto"]
        self.assertEqual([], rules(tidy.check_unknown, {p: "" for p in known}))
        for path in ("src/raft/log.cpp", "notes.txt", "src/raft/core.12", "docs/a.docx"):
            self.assertEqual([path + ":1 unknown"], rules(tidy.check_unknown, {path: ""}))

    def test_documents(self):
        files = {"docs/a.md": "# A\n[b](b.md) [c](../README.md#x) [d](https://e) [e](sub)\n", "docs/b.md": "# B\n",
                 "README.md": "# R\n", "docs/sub/x.md": "# X\n"}
        self.assertEqual([], rules(tidy.check_documents, files))
        files["docs/b.md"] = "B\n[x](missing.md)\n"
        self.assertEqual(["docs/b.md:1 title", "docs/b.md:2 link"], rules(tidy.check_documents, files))

    def test_map(self):
        folders = ("base", "env", "env/posix", "raft", "rpc", "state")
        text = "# A\n## Code map\n" + "".join("### `src/%s`\n" % f for f in folders) + "## Next\n### `src/zzz`\n"
        self.assertEqual([], rules(tidy.check_map, {"ARCHITECTURE.md": text}))
        grouped = text.replace("### `src/raft`\n### `src/rpc`\n", "### `src/raft`, `src/rpc`\n")
        self.assertEqual([], rules(tidy.check_map, {"ARCHITECTURE.md": grouped}))
        self.assertEqual(1, len(rules(tidy.check_map, {"ARCHITECTURE.md": text.replace("### `src/raft`\n", "")})))
        self.assertEqual(1, len(rules(tidy.check_map, {"ARCHITECTURE.md": text.replace("src/raft", "src/draft")})) - 1)


class Flags(unittest.TestCase):
    def test_built_flags_are_read(self):
        table = ('const FlagSpec kMember[] = {\n    {"name", kString, "default", IN(name), "Help, long."},\n'
                 '    {"wal-dir", kString, "", IN(wal_dir),\n     "Help.", kWarned},\n'
                 '    {"cors", kOrigins, "*", IN(x.cors), "Help."},\n'
                 '    {"metrics", kString, "", AT(metrics), "Help."},\n};\n')
        files = {"src/config/flag_table.cc": table, "src/main/a.cc": "f(config.name); // cors\n"}
        self.assertEqual(["src/config/flag_table.cc:5 flag"], rules(tidy.check_flags, files))
        files["src/main/a.cc"] += "g(config.x.cors);\n"
        self.assertEqual([], rules(tidy.check_flags, files))


class Exceptions(unittest.TestCase):
    def test_an_exception_needs_a_reason_and_a_need(self):
        files = {"layers.txt": LAYERS, "src/raft/a.cc": "namespace quoin::raft {}\nx = rand();\n",
                 "ARCHITECTURE.md": "# A\n## Code map\n" + "".join(
                     "### `src/%s`\n" % f for f in ("base", "env", "env/posix", "raft", "rpc", "state"))}
        def broken(allow):
            tree = tidy.Tree(dict(files, **{tidy.ALLOW: allow}))
            return ["%s %s" % (f.path, f.rule) for f in tidy.run(tree)]
        self.assertEqual(["src/raft/a.cc ban"], broken(""))
        self.assertEqual([], broken("# why\nban src/raft/a.cc it is a test\n"))
        self.assertEqual([tidy.ALLOW + " allow"], broken("ban src/raft/a.cc\n"))
        self.assertEqual(["src/raft/a.cc ban", tidy.ALLOW + " allow"], broken("ban src/raft/b.cc gone\n"))


if __name__ == "__main__":
    unittest.main()
