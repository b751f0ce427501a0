#include "raft/testing/datadriven.h"

#include "base/check.h"

namespace quoin::raft::testing {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

Status Malformed(int line, const std::string& what) {
  return Status(StatusCode::kInvalidArgument, "line " + std::to_string(line) + ": " + what);
}

// A word up to the next space that is not inside parentheses.
std::string_view NextWord(std::string_view& text) {
  text = Trim(text);
  size_t end = 0;
  int depth = 0;
  while (end < text.size() && (depth > 0 || !IsSpace(text[end]))) {
    if (text[end] == '(') ++depth;
    if (text[end] == ')') --depth;
    ++end;
  }
  std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

Argument ParseArgument(std::string_view word) {
  const size_t equals = word.find('=');
  Argument argument{std::string(word.substr(0, equals)), {}};
  if (equals == std::string_view::npos) return argument;
  std::string_view value = word.substr(equals + 1);
  if (value.size() < 2 || value.front() != '(' || value.back() != ')') {
    argument.values.emplace_back(value);
    return argument;
  }
  value = value.substr(1, value.size() - 2);
  while (!Trim(value).empty()) {
    const size_t comma = value.find(',');
    argument.values.emplace_back(Trim(value.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
  return argument;
}

class Parser {
 public:
  explicit Parser(CaseFile& file) : file_(file) {}

  Status Run() {
    while (at_ < file_.lines.size()) {
      std::string_view line = Trim(file_.lines[at_]);
      if (line.empty() || line[0] == '#') {
        ++at_;
        continue;
      }
      RETURN_IF_ERROR(ParseCase());
    }
    return OkStatus();
  }

 private:
  bool Done() const { return at_ == file_.lines.size(); }
  bool IsRule() const { return !Done() && Trim(file_.lines[at_]) == "----"; }

  Status ParseCase() {
    Case one;
    one.line = static_cast<int>(at_) + 1;
    std::string directive(Trim(file_.lines[at_++]));
    while (!directive.empty() && directive.back() == '\\' && !Done()) {
      directive.back() = ' ';
      directive += Trim(file_.lines[at_++]);
    }
    std::string_view rest = directive;
    one.command = NextWord(rest);
    for (std::string_view word = NextWord(rest); !word.empty(); word = NextWord(rest)) {
      one.arguments.push_back(ParseArgument(word));
    }
    while (!Done() && !IsRule()) one.input += file_.lines[at_++] + "\n";
    if (Done()) return Malformed(one.line, "no ---- after the directive");
    ++at_;
    if (IsRule()) {
      one.double_rule = true;
      ++at_;
    }
    one.expected_line = static_cast<int>(at_) + 1;
    while (!Done() && !AtEndOfExpected(one)) one.expected += file_.lines[at_++] + "\n";
    one.expected_lines = static_cast<int>(at_) + 1 - one.expected_line;
    if (one.double_rule) {
      if (Done()) return Malformed(one.line, "no double ---- at the end of the expected output");
      at_ += 2;
    }
    file_.cases.push_back(std::move(one));
    return OkStatus();
  }

  bool AtEndOfExpected(const Case& one) const {
    if (!one.double_rule) return Trim(file_.lines[at_]).empty();
    return IsRule() && at_ + 1 < file_.lines.size() && Trim(file_.lines[at_ + 1]) == "----";
  }

  CaseFile& file_;
  size_t at_ = 0;
};

}  // namespace

const Argument* Case::Find(std::string_view key) const {
  for (const Argument& argument : arguments) {
    if (argument.key == key) return &argument;
  }
  return nullptr;
}

std::optional<std::string> Case::Value(std::string_view key) const {
  const Argument* argument = Find(key);
  if (argument == nullptr || argument->values.size() != 1) return std::nullopt;
  return argument->values[0];
}

std::vector<std::string> Case::Plain() const {
  std::vector<std::string> plain;
  for (const Argument& argument : arguments) {
    if (argument.values.empty()) plain.push_back(argument.key);
  }
  return plain;
}

StatusOr<CaseFile> ParseCases(std::string_view text) {
  CaseFile file;
  file.lines = SplitLines(text);
  RETURN_IF_ERROR(Parser(file).Run());
  return file;
}

std::string Rewrite(const CaseFile& file, const std::vector<std::string>& outputs) {
  CHECK_EQ(file.cases.size(), outputs.size());
  std::string text;
  size_t next = 0;  // line, from 0
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Case& one = file.cases[i];
    const size_t expected = static_cast<size_t>(one.expected_line) - 1;
    while (next < expected) text += file.lines[next++] + "\n";
    text += outputs[i];
    if (!outputs[i].empty() && outputs[i].back() != '\n') text += '\n';
    next = expected + static_cast<size_t>(one.expected_lines);
  }
  while (next < file.lines.size()) text += file.lines[next++] + "\n";
  return text;
}

}  // namespace quoin::raft::testing
