#include "config/config_file.h"

#include <yaml-cpp/yaml.h>

#include <optional>

#include "config/flag_table.h"
#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// What a YAML scalar is, by the rules of YAML 1.1 that etcd's reader follows.
enum class ScalarKind : uint8_t { kNull, kBool, kNumber, kString };

bool IsQuoted(const YAML::Node& node) { return node.Tag() == "!"; }

std::optional<bool> YamlBool(const std::string& text) {
  for (const char* yes :
       {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) {
    if (text == yes) return true;
  }
  for (const char* no :
       {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

bool LooksLikeNumber(const std::string& text) {
  if (!ParseInt(text).error || !ParseUint(text).error) return true;
  size_t digits = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9')
      ++digits;
    else if (std::string_view("+-.eE_").find(c) == std::string_view::npos)
      return false;
  }
  return digits > 0 && text.front() != '_' && text.front() != 'e' && text.front() != 'E';
}

ScalarKind KindOf(const YAML::Node& node) {
  if (node.IsNull()) return ScalarKind::kNull;
  const std::string& text = node.Scalar();
  if (IsQuoted(node)) return ScalarKind::kString;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return ScalarKind::kNull;
  if (YamlBool(text)) return ScalarKind::kBool;
  return LooksLikeNumber(text) ? ScalarKind::kNumber : ScalarKind::kString;
}

// How Go names the type of `flag` in its messages.
std::string_view GoType(const FlagSpec& flag) {
  switch (flag.kind) {
    case FlagKind::kBool:
      return "bool";
    case FlagKind::kUint:
      return "uint";
    case FlagKind::kUint32:
      return "uint32";
    case FlagKind::kUint64:
      return "uint64";
    case FlagKind::kInt:
      return "int";
    case FlagKind::kInt64:
      return "int64";
    case FlagKind::kDuration:
      return "time.Duration";
    default:
      return "string";
  }
}

bool IsYamlList(const FlagSpec& flag) {
  return flag.kind == FlagKind::kStrings ||
         (flag.kind == FlagKind::kUniqueStrings && flag.name != "host-whitelist");
}

std::string_view KeyOf(const FlagSpec& flag) {
  return flag.file_key.empty() ? flag.name : flag.file_key;
}

Status WrongType(const FlagSpec& flag, std::string_view found, std::string_view wanted) {
  bool separate = (flag.kind == FlagKind::kUrls && flag.name != "listen-metrics-urls") ||
                  flag.kind == FlagKind::kOrigins || flag.name == "host-whitelist" ||
                  flag.kind == FlagKind::kFeatureGates ||
                  KeyOf(flag).find("transport-security") != std::string::npos;
  return Invalid(Cat("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ", found,
                     " into Go struct field configYAML.", separate ? "configJSON." : "Config.",
                     KeyOf(flag), " of type ", wanted));
}

std::string_view FoundName(const YAML::Node& node) {
  if (node.IsMap()) return "object";
  if (node.IsSequence()) return "array";
  switch (KindOf(node)) {
    case ScalarKind::kBool:
      return "bool";
    case ScalarKind::kNumber:
      return "number";
    default:
      return "string";
  }
}

bool IsNumeric(FlagKind kind) {
  return kind == FlagKind::kUint || kind == FlagKind::kUint32 || kind == FlagKind::kUint64 ||
         kind == FlagKind::kInt || kind == FlagKind::kInt64 || kind == FlagKind::kDuration;
}

Status ApplyList(const FlagSpec& flag, const YAML::Node& node, Draft& draft) {
  if (!node.IsSequence()) return WrongType(flag, FoundName(node), "[]string");
  std::vector<std::string> items;
  for (const YAML::Node& item : node) {
    if (!item.IsScalar() || KindOf(item) != ScalarKind::kString)
      return WrongType(flag, FoundName(item), "string");
    items.push_back(item.Scalar());
  }
  if (items.empty() && flag.name == "log-outputs") return OkStatus();  // the default stays
  std::get<std::vector<std::string>& (*)(Draft&)>(flag.target)(draft) = std::move(items);
  draft.given.emplace(flag.name);
  return OkStatus();
}

Status ApplyNumber(const FlagSpec& flag, const YAML::Node& node, Draft& draft) {
  if (KindOf(node) != ScalarKind::kNumber) return WrongType(flag, FoundName(node), GoType(flag));
  std::string text = node.Scalar();
  if (flag.kind == FlagKind::kDuration) text += "ns";  // the file counts nanoseconds
  if (!SetFlag(flag, text, draft).ok())
    return WrongType(flag, Cat("number ", node.Scalar()), GoType(flag));
  return OkStatus();
}

// Texts of flags that --help would check at once are checked later when they come from a file.
Status ApplyText(const FlagSpec& flag, const YAML::Node& node, Draft& draft) {
  if (KindOf(node) != ScalarKind::kString) return WrongType(flag, FoundName(node), "string");
  const std::string& text = node.Scalar();
  if (flag.kind == FlagKind::kChoice || flag.kind == FlagKind::kChoices) {
    if (!text.empty()) std::get<std::string& (*)(Draft&)>(flag.target)(draft) = text;
    draft.given.emplace(flag.name);
    return OkStatus();
  }
  bool lists = flag.kind == FlagKind::kUrls || flag.kind == FlagKind::kOrigins ||
               flag.name == "host-whitelist";
  if (lists && text.empty()) return OkStatus();  // the default stays
  Status status = SetFlag(flag, text, draft);
  if (status.ok()) return status;
  if (flag.kind != FlagKind::kUrls) return status;
  std::string_view name =
      flag.name == "advertise-client-urls" ? "advertise-peer-urls" : flag.name;  // as etcd says it
  return absl::AbortedError(Cat("unexpected error setting up ", name, ": ", Message(status)));
}

Status ApplyNode(const FlagSpec& flag, const YAML::Node& node, Draft& draft) {
  if (!node.IsDefined() || node.IsNull()) return OkStatus();
  if (node.IsScalar() && KindOf(node) == ScalarKind::kNull) return OkStatus();
  if (IsYamlList(flag)) return ApplyList(flag, node, draft);
  if (!node.IsScalar()) return WrongType(flag, FoundName(node), GoType(flag));
  if (IsNumeric(flag.kind)) return ApplyNumber(flag, node, draft);
  if (flag.kind != FlagKind::kBool) return ApplyText(flag, node, draft);
  if (KindOf(node) != ScalarKind::kBool) return WrongType(flag, FoundName(node), "bool");
  return SetFlag(flag, *YamlBool(node.Scalar()) ? "true" : "false", draft);
}

// The node under a dotted path; undefined when a step is missing. Fails when a step is there and is
// no map.
StatusOr<YAML::Node> Descend(const YAML::Node& root, const FlagSpec& flag) {
  YAML::Node node;
  node.reset(root);
  std::string walked;
  for (const std::string& step : Split(KeyOf(flag), '.')) {
    if (!node.IsMap()) {
      if (walked.empty() || node.IsNull()) return YAML::Node(YAML::NodeType::Undefined);
      return Invalid(
          Cat("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ",
              FoundName(node), " into Go struct field configYAML.",
              walked.find("security") == std::string::npos ? "Config." : "configJSON.", walked,
              " of type ",
              walked.find("security") == std::string::npos ? "struct" : "embed.securityConfig"));
    }
    YAML::Node next(YAML::NodeType::Undefined);
    for (const auto& entry : node) {  // the last one of equal keys counts
      if (entry.first.IsScalar() && entry.first.Scalar() == step) next.reset(entry.second);
    }
    if (!next.IsDefined()) return next;
    node.reset(next);
    Append(walked, walked.empty() ? "" : ".", step);
  }
  return node;
}

Status ApplyRoot(const YAML::Node& root, Draft& draft) {
  if (root.IsNull()) return OkStatus();
  if (!root.IsMap()) {
    return Invalid(Cat("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ",
                       FoundName(root), " into Go value of type embed.configYAML"));
  }
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) {
      if (flag.file_key == "-") continue;
      ASSIGN_OR_RETURN(YAML::Node node, Descend(root, flag));
      RETURN_IF_ERROR(ApplyNode(flag, node, draft));
    }
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::string> ReadConfigFile(env::BlockingFileSystem& files, const std::string& path) {
  auto file = files.Open(path, env::OpenMode::kRead);
  if (!file.ok()) {
    if (absl::IsNotFound(file.status())) {
      return absl::NotFoundError(Cat("open ", path, ": no such file or directory"));
    }
    return file.status();
  }
  std::string text;
  char buffer[16384];
  while (true) {
    ASSIGN_OR_RETURN(size_t count, (*file)->blocking().Read(text.size(), buffer));
    if (count == 0) return text;
    text.append(buffer, count);
    if (text.size() > kConfigFileBytesMax) {
      return Invalid(Cat(path, " is larger than ", kConfigFileBytesMax, " bytes"));
    }
  }
}

Status ApplyConfigFile(const std::string& text, Draft& draft) {
  try {
    return ApplyRoot(YAML::Load(text), draft);
  } catch (const YAML::Exception& error) {
    return Invalid(Cat("error converting YAML to JSON: yaml: ", error.what()));
  }
}

}  // namespace quoin::config
