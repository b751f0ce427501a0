#include "sim/stalled_reader.h"

#include <cstdint>
#include <utility>

namespace quoin::sim {
namespace {

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kSettings = 4 };
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

// frame = length u24 . type u8 . flags u8 . stream u32 . payload
std::string Frame(FrameType type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out.push_back(static_cast<char>(payload.size() >> shift));
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(stream >> shift));
  return out + payload;
}

// field = 0x00 . name . value, each as length u7 . bytes: literal, not indexed, not compressed
void AddField(std::string& out, const std::string& name, const std::string& value) {
  out.push_back('\0');
  out.push_back(static_cast<char>(name.size()));
  out += name;
  out.push_back(static_cast<char>(value.size()));
  out += value;
}

}  // namespace

StalledReader::StalledReader(env::Network& network, env::Executor& loop, const std::string& address,
                             std::string method, std::string request, bool no_window)
    : method_(std::move(method)), request_(std::move(request)), no_window_(no_window) {
  network.Connect(address, std::chrono::seconds(2), loop,
                  lifeline_.Tie([this](StatusOr<std::unique_ptr<env::Connection>> connection) {
                    if (!connection.ok()) return;
                    connection_ = *std::move(connection);
                    Ask();
                  }));
}

void StalledReader::Ask() {
  connection_->Start(*this);
  if (!no_window_) connection_->PauseReading();
  // setting = id u16 . value u32; 4 = the window of each stream
  std::string settings("\0\4", 2);
  settings += no_window_ ? std::string(4, '\0') : std::string("\x7f\xff\xff\xff", 4);
  std::string fields;
  AddField(fields, ":method", "POST");
  AddField(fields, ":scheme", "http");
  AddField(fields, ":path", method_);
  AddField(fields, ":authority", "stalled");
  AddField(fields, "content-type", "application/grpc");
  AddField(fields, "te", "trailers");
  // message = compressed u8 . length u32 . bytes
  std::string message(1, '\0');
  for (int shift : {24, 16, 8, 0}) message.push_back(static_cast<char>(request_.size() >> shift));
  message += request_;
  connection_->Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, 0, 0, settings) +
                     Frame(kHeaders, kEndHeaders, 1, fields) +
                     Frame(kData, kEndStream, 1, message));
}

}  // namespace quoin::sim
