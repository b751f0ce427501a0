#include "ctl/go_json.h"

#include <fmt/format.h>

#include <cctype>

#include "cli/go_text.h"
#include "google/protobuf/descriptor.h"

namespace quoin::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

// A singular field, or one element of a repeated one: the same accessors, with and without an
// index.
class Cell {
 public:
  Cell(const Message& message, const FieldDescriptor& field, int index)
      : message_(message), reflection_(*message.GetReflection()), field_(field), index_(index) {}

  template <typename One, typename Many>
  auto Get(One one, Many many) const {
    return index_ < 0 ? (reflection_.*one)(message_, &field_)
                      : (reflection_.*many)(message_, &field_, index_);
  }
  std::string String() const { return Get(&Reflection::GetString, &Reflection::GetRepeatedString); }
  int64_t Int64() const { return Get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64); }
  uint64_t Uint64() const { return Get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64); }
  int64_t Int32() const { return Get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32); }
  uint64_t Uint32() const { return Get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32); }
  bool Bool() const { return Get(&Reflection::GetBool, &Reflection::GetRepeatedBool); }
  int Enum() const { return Get(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue); }
  const Message& Nested() const {
    return index_ < 0 ? reflection_.GetMessage(message_, &field_)
                      : reflection_.GetRepeatedMessage(message_, &field_, index_);
  }

 private:
  const Message& message_;
  const Reflection& reflection_;
  const FieldDescriptor& field_;
  const int index_;
};

bool IsId(const FieldDescriptor& field) {
  const std::string& owner = field.containing_type()->full_name();
  if (owner == "etcdserverpb.ResponseHeader")
    return field.name() == "cluster_id" || field.name() == "member_id";
  return owner == "etcdserverpb.Member" && field.name() == "ID";
}

void AppendValue(std::string& out, const Cell& cell, const FieldDescriptor& field, JsonIds ids) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        out += fmt::format("\"{}\"", cli::Base64(cell.String()));
      } else {
        AppendJsonString(out, cell.String());
      }
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (ids == JsonIds::kHexStrings && IsId(field)) {
        out += fmt::format("\"{:x}\"", cell.Uint64());
      } else {
        out += std::to_string(cell.Uint64());
      }
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      out += std::to_string(cell.Int64());
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      out += std::to_string(cell.Uint32());
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      out += std::to_string(cell.Int32());
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += cell.Bool() ? "true" : "false";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      out += std::to_string(cell.Enum());
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AppendJson(out, cell.Nested(), ids);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      out += "0";
      break;  // no message of the API has one
  }
}

// Go shows a oneof as an interface field under its capitalised name, holding a wrapper with the one
// member.
void AppendOneof(std::string& out, const Message& message, const OneofDescriptor& oneof,
                 JsonIds ids) {
  std::string name = oneof.name();
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  AppendJsonString(out, name);
  const FieldDescriptor* member = message.GetReflection()->GetOneofFieldDescriptor(message, &oneof);
  if (member == nullptr) {
    out += ":null";
    return;
  }
  out += fmt::format(":{{\"{}\":", member->name());
  AppendValue(out, Cell(message, *member, -1), *member, ids);
  out += '}';
}

bool IsPresent(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

void AppendField(std::string& out, const Message& message, const FieldDescriptor& field,
                 JsonIds ids) {
  out += fmt::format("\"{}\":", field.name());
  if (!field.is_repeated()) return AppendValue(out, Cell(message, field, -1), field, ids);
  out += '[';
  const int count = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    AppendValue(out, Cell(message, field, i), field, ids);
  }
  out += ']';
}

}  // namespace

void AppendJson(std::string& out, const google::protobuf::Message& message, JsonIds ids) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  out += '{';
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ',';
    first = false;
  };
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (const OneofDescriptor* oneof = field.real_containing_oneof(); oneof != nullptr) {
      if (oneof->field(0) != &field) continue;  // shown once, at its first member's place
      separate();
      AppendOneof(out, message, *oneof, ids);
    } else if (IsPresent(message, field)) {
      separate();
      AppendField(out, message, field, ids);
    }
  }
  out += '}';
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = cli::DecodeUtf8(text, c);
    if (length == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x2028 || c == 0x2029) {
          out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
        } else {
          out += text.substr(0, length);
        }
    }
    text.remove_prefix(length);
  }
  out += '"';
}

}  // namespace quoin::ctl
