// How the text of a flag becomes a value of its type.
#include <algorithm>

#include "config/flag_table.h"
#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

template <typename T>
T& Target(const FlagSpec& flag, Draft& draft) {
  return std::get<T& (*)(Draft&)>(flag.target)(draft);
}

Status NumberStatus(NumberError error) {
  return Invalid(error == NumberError::kRange ? "value out of range" : "parse error");
}

template <typename T>
Status Keep(const Number<T>& number, T& target) {
  if (number.error) return NumberStatus(*number.error);
  target = number.value;
  return OkStatus();
}

Status SetUint32(std::string_view text, uint32_t& target) {
  Number<uint64_t> number = ParseUint(text, 32);
  if (number.error) {
    return Invalid(
        Cat("strconv.ParseUint: parsing ", Quote(text), ": ",
            *number.error == NumberError::kRange ? "value out of range" : "invalid syntax"));
  }
  target = static_cast<uint32_t>(number.value);
  return OkStatus();
}

Status SetUrls(std::string_view text, std::vector<Url>& target) {
  if (text.empty()) return OkStatus();  // as etcd: the default stays
  ASSIGN_OR_RETURN(target, ParseUrls(text));
  return OkStatus();
}

Status SetOrigins(std::string_view text, std::vector<std::string>& target) {
  if (text == "*") {
    target = {"*"};
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::vector<Url> urls, ParseUrls(text));
  target = UrlTexts(urls);
  return OkStatus();
}

Status SetChoice(const FlagSpec& flag, std::string_view text, std::string& target) {
  std::vector<std::string> choices = Split(flag.choices, ' ');
  if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
    if (flag.kind == FlagKind::kChoice) return Invalid("invalid value");
    return Invalid(Cat("invalid value ", Quote(text)));
  }
  target = std::string(text);
  return OkStatus();
}

Status SetFeatureGates(std::string_view text, Draft& draft) {
  RETURN_IF_ERROR(ParseFeatureGates(text, draft.config.feature_gates));
  draft.feature_gates = std::string(text);
  return OkStatus();
}

Status SetList(const FlagSpec& flag, std::string_view text, std::vector<std::string>& target) {
  target = Split(text, ',');
  if (text.empty() && flag.default_text.empty()) target.clear();
  if (flag.kind == FlagKind::kStrings) return OkStatus();
  std::sort(target.begin(), target.end());
  target.erase(std::unique(target.begin(), target.end()), target.end());
  return OkStatus();
}

Status SetValue(const FlagSpec& flag, std::string_view text, Draft& draft) {
  switch (flag.kind) {
    case FlagKind::kBool: {
      std::optional<bool> value = ParseBool(text);
      if (!value) return Invalid("parse error");
      Target<bool>(flag, draft) = *value;
      return OkStatus();
    }
    case FlagKind::kString:
      Target<std::string>(flag, draft) = std::string(text);
      return OkStatus();
    case FlagKind::kUint:
    case FlagKind::kUint64:
      return Keep(ParseUint(text), Target<uint64_t>(flag, draft));
    case FlagKind::kUint32:
      return SetUint32(text, Target<uint32_t>(flag, draft));
    case FlagKind::kInt:
    case FlagKind::kInt64:
      return Keep(ParseInt(text), Target<int64_t>(flag, draft));
    case FlagKind::kDuration: {
      StatusOr<Duration> value = ParseDuration(text);
      if (!value.ok()) return Invalid("parse error");
      Target<Duration>(flag, draft) = *value;
      return OkStatus();
    }
    case FlagKind::kUrls:
      return SetUrls(text, Target<std::vector<Url>>(flag, draft));
    case FlagKind::kOrigins:
      return SetOrigins(text, Target<std::vector<std::string>>(flag, draft));
    case FlagKind::kStrings:
    case FlagKind::kUniqueStrings:
      return SetList(flag, text, Target<std::vector<std::string>>(flag, draft));
    case FlagKind::kChoice:
    case FlagKind::kChoices:
      return SetChoice(flag, text, Target<std::string>(flag, draft));
    case FlagKind::kFeatureGates:
      return SetFeatureGates(text, draft);
  }
  return OkStatus();
}

}  // namespace

Status SetFlag(const FlagSpec& flag, std::string_view text, Draft& draft) {
  RETURN_IF_ERROR(SetValue(flag, text, draft));
  draft.given.emplace(flag.name);
  return OkStatus();
}

bool DiffersFromDefault(const FlagSpec& flag, Draft& draft) {
  Draft fresh;
  return std::visit([&](auto target) { return target(draft) != target(fresh); }, flag.target);
}

}  // namespace quoin::config
