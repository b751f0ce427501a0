#include "rpc/request_headers.h"

#include <algorithm>

namespace quoin::rpc {
namespace {

// Of each header but the path. No value that means something is longer, and clients may send one of
// 4 kB with a single byte.
constexpr size_t kKeptValueBytesMax = 64;

// RFC 9110 §5.6.2, without capital letters (RFC 9113 §8.2).
bool IsFieldName(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool HasControls(std::string_view value) {
  return std::any_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

}  // namespace

RequestHeaders::Verdict RequestHeaders::Count(std::string_view name, std::string_view value) {
  list_bytes_ += name.size() + value.size() + kHeaderFieldOverheadBytes;
  ++fields_;
  const bool within = list_bytes_ <= kHeaderListBytesMax && fields_ <= kHeaderFieldsMax;
  return within ? Verdict::kTaken : Verdict::kTooMuch;
}

RequestHeaders::Verdict RequestHeaders::Add(const GrpcDispatcher* dispatcher, std::string_view name,
                                            std::string_view value) {
  if (Count(name, value) == Verdict::kTooMuch) return Verdict::kTooMuch;
  if (name.empty()) return Verdict::kMalformed;
  auto keep = [&](std::string& where) {
    where = value.substr(0, kKeptValueBytesMax);
    kept_bytes_ += where.size();
  };
  if (name == ":path") {
    path_ = value;
    kept_bytes_ += value.size();
  } else if (name == ":method") {
    keep(http_method_);
  } else if (name == "content-type") {
    keep(content_type_);
  } else if (name == "grpc-encoding") {
    keep(encoding_);
  } else if (name == "grpc-timeout") {
    keep(timeout_.emplace());
  } else if (dispatcher != nullptr && dispatcher->ReadsMetadata(name) && !metadata(name)) {
    keep(metadata_.emplace_back(name, "").second);
  }
  return Verdict::kTaken;
}

RequestHeaders::Verdict RequestHeaders::AddDoubtful(const GrpcDispatcher* dispatcher,
                                                    std::string_view name, std::string_view value) {
  if (!IsFieldName(name) || HasControls(value)) {
    return Count(name, value) == Verdict::kTooMuch ? Verdict::kTooMuch : Verdict::kMalformed;
  }
  return Add(dispatcher, name, value);
}

std::optional<std::string_view> RequestHeaders::metadata(std::string_view name) const {
  for (const auto& [n, value] : metadata_) {
    if (n == name) return std::string_view(value);
  }
  return std::nullopt;
}

}  // namespace quoin::rpc
