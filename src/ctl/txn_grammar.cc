#include "ctl/txn_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "ctl/kv_flags.h"
#include "ctl/kv_requests.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

std::optional<pb::Compare::CompareResult> ParseOperator(std::string_view text) {
  if (text == "=") return pb::Compare::EQUAL;
  if (text == "!=") return pb::Compare::NOT_EQUAL;
  if (text == ">") return pb::Compare::GREATER;
  if (text == "<") return pb::Compare::LESS;
  return std::nullopt;
}

// `) operator value` of a comparison.
struct Comparison {
  std::string key;
  std::string_view result;
  std::string value;
};

bool TakeSpaces(std::string_view& text) {
  const std::string_view stripped =
      text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
  return std::exchange(text, stripped).size() != stripped.size();
}

StatusOr<Comparison> SplitComparison(std::string_view rest) {
  Comparison comparison;
  TakeSpaces(rest);
  ASSIGN_OR_RETURN(comparison.key, TakeQuoted(rest));
  if (rest.empty() || rest.front() != ')') return absl::OutOfRangeError("no closing parenthesis");
  rest.remove_prefix(1);
  if (!TakeSpaces(rest)) return absl::OutOfRangeError("no space before the operator");
  comparison.result = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(comparison.result.size());
  if (!TakeSpaces(rest)) return absl::OutOfRangeError("no space after the operator");
  ASSIGN_OR_RETURN(comparison.value, TakeQuoted(rest));
  return comparison;
}

Status SetTarget(std::string_view target, const std::string& value, pb::Compare& compare) {
  if (target == "val" || target == "value") {
    compare.set_target(pb::Compare::VALUE);
    compare.set_value(value);
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const int64_t number, ParseInt(value, target == "lease" ? 16 : 10));
  if (target == "ver" || target == "version") {
    compare.set_target(pb::Compare::VERSION);
    compare.set_version(number);
  } else if (target == "c" || target == "create") {
    compare.set_target(pb::Compare::CREATE);
    compare.set_create_revision(number);
  } else if (target == "m" || target == "mod") {
    compare.set_target(pb::Compare::MOD);
    compare.set_mod_revision(number);
  } else {
    compare.set_target(pb::Compare::LEASE);
    compare.set_lease(number);
  }
  return OkStatus();
}

bool IsTarget(std::string_view text) {
  for (std::string_view target :
       {"ver", "version", "c", "create", "m", "mod", "val", "value", "lease"}) {
    if (text == target) return true;
  }
  return false;
}

// End of the quoted word that starts at line[0], quotes included; 0 when it is not closed.
size_t QuotedWordEnd(std::string_view line) {
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == line[0]) return i + 1;
    if (line[i] == '\\' && line[0] == '"') ++i;
  }
  return 0;
}

enum class LineKind { kGet, kPut, kDelete };

// The command by its name or an unambiguous start of it.
std::optional<LineKind> ParseLineKind(std::string_view word) {
  if (word.empty()) return std::nullopt;
  if (std::string_view("get").starts_with(word)) return LineKind::kGet;
  if (std::string_view("put").starts_with(word)) return LineKind::kPut;
  if (std::string_view("del").starts_with(word)) return LineKind::kDelete;
  return std::nullopt;
}

std::span<const FlagSpec> FlagsOf(LineKind kind) {
  switch (kind) {
    case LineKind::kGet:
      return kGetFlags;
    case LineKind::kPut:
      return kPutFlags;
    case LineKind::kDelete:
      break;
  }
  return kDeleteFlags;
}

StatusOr<TxnRequestLine> MakeLine(LineKind kind, const Flags& flags,
                                  std::span<const std::string> arguments) {
  TxnRequestLine line;
  switch (kind) {
    case LineKind::kGet: {
      ASSIGN_OR_RETURN(*line.op.mutable_request_range(), MakeRangeRequest(flags, arguments));
      break;
    }
    case LineKind::kPut: {
      ASSIGN_OR_RETURN(*line.op.mutable_request_put(), MakePutRequest(flags, arguments, nullptr));
      break;
    }
    case LineKind::kDelete: {
      ASSIGN_OR_RETURN(*line.op.mutable_request_delete_range(),
                       MakeDeleteRequest(flags, arguments));
      if (NeedsDeleteWarning(flags, arguments)) line.warning = DeleteWarning(arguments);
      break;
    }
  }
  return line;
}

}  // namespace

StatusOr<pb::Compare> ParseCompare(std::string_view line) {
  const size_t parenthesis = line.find('(');
  if (parenthesis == std::string_view::npos) {
    return absl::OutOfRangeError(fmt::format("malformed comparison: {}", line));
  }
  const std::string_view target = line.substr(0, parenthesis);
  const StatusOr<Comparison> comparison = SplitComparison(line.substr(parenthesis + 1));
  if (!comparison.ok()) {
    return absl::OutOfRangeError(
        fmt::format("malformed comparison: {} ({})", line, Message(comparison.status())));
  }
  if (!IsTarget(target)) {
    return absl::OutOfRangeError(
        fmt::format("malformed comparison: {} (unknown target {})", line, target));
  }
  const std::optional<pb::Compare::CompareResult> result = ParseOperator(comparison->result);
  if (!result) {
    return absl::OutOfRangeError(
        fmt::format("malformed comparison: {} (unknown operator {})", line, comparison->result));
  }
  pb::Compare compare;
  compare.set_key(comparison->key);
  compare.set_result(*result);
  if (!SetTarget(target, comparison->value, compare).ok()) {
    return absl::OutOfRangeError(fmt::format("invalid txn compare request: {}", line));
  }
  return compare;
}

StatusOr<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const char first = line.front();
    const bool quoted = first == '"' || first == '\'';
    const size_t length =
        quoted ? QuotedWordEnd(line) : std::min(line.find_first_of(" \t\n\f\r"), line.size());
    if (length == 0) {  // a space, or a quote that nothing closes
      line.remove_prefix(1);
      continue;
    }
    std::string_view word = line.substr(0, length);
    line.remove_prefix(length);
    if (first == '\'') {
      words.emplace_back(word.substr(1, length - 2));
    } else if (first == '"') {
      StatusOr<std::string> text = TakeQuoted(word);
      if (!text.ok()) return absl::OutOfRangeError(text.status().message());
      words.push_back(*std::move(text));
    } else {
      words.emplace_back(word);
    }
  }
  return words;
}

StatusOr<TxnRequestLine> ParseRequestLine(std::string_view line) {
  ASSIGN_OR_RETURN(const std::vector<std::string> words, SplitWords(line));
  if (words.size() < 2)
    return absl::OutOfRangeError(fmt::format("invalid txn compare request: {}", line));
  const Status invalid = absl::OutOfRangeError(fmt::format("invalid txn request: {}", line));
  const std::optional<LineKind> kind = ParseLineKind(words[0]);
  if (!kind) return invalid;
  Flags flags({FlagsOf(*kind)});
  const StatusOr<std::vector<std::string>> arguments = flags.Parse(std::span(words).subspan(1));
  if (!arguments.ok() || flags.help_wanted()) return invalid;
  return MakeLine(*kind, flags, *arguments);
}

}  // namespace quoin::ctl
