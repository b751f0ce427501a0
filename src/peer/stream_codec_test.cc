// The bytes of streams: round trips in any pieces, hostile input, and what etcd's members sent.

#include "peer/stream_codec.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr size_t kMax = 1 << 20;
const NodeId kFrom(7), kTo(8);

std::vector<raft::Message> Decoded(StreamKind kind, const std::string& bytes, size_t piece) {
  StreamDecoder decoder(kind, kFrom, kTo, kMax);
  std::vector<raft::Message> out;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    Status status = decoder.Feed(std::string_view(bytes).substr(at, piece), out);
    EXPECT_TRUE(status.ok()) << status;
  }
  return out;
}

// Appends as a leader sends them: mostly one after another, now and then from elsewhere.
std::vector<raft::Message> RandomAppends(std::mt19937& random) {
  std::vector<raft::Message> out;
  uint64_t term = 1, index = 0;
  for (int i = 0; i < 50; ++i) {
    raft::Message message;
    message.type = raft::MessageType::kApp;
    message.from = kFrom;
    message.to = kTo;
    if (random() % 8 == 0) term += random() % 3;
    if (random() % 8 == 0) index = random() % 100;
    message.term = Term(term);
    message.log_term = Term(random() % 6 == 0 ? term - random() % 2 : term);
    message.index = Index(index);
    for (uint64_t n = random() % 4; n > 0; --n) {
      message.entries.push_back({Term(term), Index(++index), raft::EntryType::kNormal,
                                 SharedBytes(std::string(random() % 300, 'e'))});
    }
    message.commit = Index(random() % (index + 1));
    out.push_back(message);
  }
  return out;
}

TEST(StreamCodecTest, WhatIsSentArrivesInAnyPieces) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (StreamKind kind : {StreamKind::kMessage, StreamKind::kMsgApp}) {
    for (int round = 0; round < 50; ++round) {
      const std::vector<raft::Message> sent = RandomAppends(random);
      StreamEncoder encoder(kind);
      std::string bytes;
      for (const raft::Message& message : sent) {
        if (random() % 5 == 0) encoder.EncodeLinkHeartbeat(bytes);
        encoder.Encode(message, bytes);
      }
      EXPECT_EQ(Decoded(kind, bytes, 1 + random() % 200), sent);
      EXPECT_EQ(Decoded(kind, bytes, bytes.size()), sent);
    }
  }
}

TEST(StreamCodecTest, AppendsThatFollowEachOtherAreSentShort) {
  StreamEncoder encoder(StreamKind::kMsgApp);
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.term = message.log_term = Term(3);
  message.index = Index(10);
  std::string first, second;
  encoder.Encode(message, first);
  encoder.Encode(message, second);
  EXPECT_EQ(first[0], 2);
  EXPECT_EQ(second, std::string("\x01") + std::string(16, '\0'));
}

TEST(StreamCodecTest, EntriesAreDecodedAsTheyCome) {
  raft::Message message;
  message.type = raft::MessageType::kApp;
  for (uint64_t i = 1; i <= 200; ++i)
    message.entries.push_back(
        {Term(), Index(i), raft::EntryType::kNormal, SharedBytes(std::string(1000, 'e'))});
  StreamEncoder encoder(StreamKind::kMsgApp);
  std::string bytes;
  encoder.Encode(message, bytes);
  ASSERT_EQ(bytes[0], 1);
  StreamDecoder decoder(StreamKind::kMsgApp, kFrom, kTo, kMax);
  std::vector<raft::Message> out;
  for (char byte : bytes) {
    ASSERT_TRUE(decoder.Feed(std::string_view(&byte, 1), out).ok());
    ASSERT_LT(decoder.undecoded_bytes(), 1100u);  // never more than one entry
  }
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].entries, message.entries);
}

TEST(StreamCodecTest, ManyEntriesTogetherAreBounded) {
  raft::Message message;
  message.type = raft::MessageType::kApp;
  for (uint64_t i = 1; i <= 11; ++i)
    message.entries.push_back(
        {Term(), Index(i), raft::EntryType::kNormal, SharedBytes(std::string(kMax / 10, 'e'))});
  StreamEncoder encoder(StreamKind::kMsgApp);
  std::string bytes;
  encoder.Encode(message, bytes);
  StreamDecoder decoder(StreamKind::kMsgApp, kFrom, kTo, kMax);
  std::vector<raft::Message> out;
  EXPECT_FALSE(decoder.Feed(bytes, out).ok());
  EXPECT_TRUE(out.empty());
}

TEST(StreamCodecTest, HostileBytesAreErrors) {
  const std::string huge("\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
  for (const std::string& bytes :
       {huge, std::string("\x00\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff", 11)}) {
    StreamDecoder decoder(StreamKind::kMessage, kFrom, kTo, kMax);
    std::vector<raft::Message> out;
    EXPECT_FALSE(decoder.Feed(bytes, out).ok());
  }
  for (const std::string& bytes : {std::string("\x03"), "\x02" + huge, "\x01" + huge,
                                   "\x01" + std::string("\0\0\0\0\0\0\0\x01", 8) + huge}) {
    StreamDecoder decoder(StreamKind::kMsgApp, kFrom, kTo, kMax);
    std::vector<raft::Message> out;
    EXPECT_FALSE(decoder.Feed(bytes, out).ok());
    EXPECT_TRUE(out.empty());
  }
}

TEST(StreamCodecTest, RandomBytesDoNoHarm) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    StreamDecoder decoder(round % 2 == 0 ? StreamKind::kMessage : StreamKind::kMsgApp, kFrom, kTo,
                          kMax);
    std::string bytes;
    for (size_t n = random() % 64; n > 0; --n)
      bytes.push_back(static_cast<char>(random() % (random() % 2 ? 4 : 256)));
    std::vector<raft::Message> out;
    decoder.Feed(bytes, out).IgnoreError();
  }
}

// --- what etcd's members sent to each other ---

struct CapturedStream {
  std::string name;
  std::vector<std::string> frames;  // the first ones, without a gap
};

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

std::vector<CapturedStream> ReadStreams(const std::string& folder, const std::string& name) {
  const char* given = std::getenv("QUOIN_SHARED");
  const std::filesystem::path shared =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(QUOIN_SOURCE_DIR) / ".." / "shared";
  std::ifstream file(shared / "vectors/peer" / folder / name);
  std::vector<CapturedStream> out;
  std::string line;
  uint64_t next = 0;
  bool gap = false;
  while (std::getline(file, line)) {
    const auto value = [&](const std::string& key) {
      const size_t at = line.find("\"" + key + "\": ");
      if (at == std::string::npos) return std::string();
      std::string rest = line.substr(at + key.size() + 4);
      if (rest.starts_with('"')) return rest.substr(1, rest.find('"', 1) - 1);
      return rest.substr(0, rest.find_first_of(",}"));
    };
    if (!value("server").empty()) {
      out.push_back({folder + "/" + name + " of " + value("server"), {}});
      next = 0;
      gap = false;
    }
    if (line.starts_with("     ")) continue;  // inside a decoded message
    if (const std::string number = value("number"); !number.empty()) {
      gap = gap || std::stoull(number) != next;
      ++next;
    }
    if (const std::string hex = value("hex"); !hex.empty() && !gap && !out.empty())
      out.back().frames.push_back(FromHex(hex));
  }
  return out;
}

class CapturedStreams : public testing::TestWithParam<const char*> {};

TEST_P(CapturedStreams, AreReadAndWrittenAsEtcdDoes) {
  int messages = 0;
  for (StreamKind kind : {StreamKind::kMessage, StreamKind::kMsgApp}) {
    const char* name =
        kind == StreamKind::kMessage ? "stream-message.json" : "stream-msgapp-v2.json";
    for (const CapturedStream& stream : ReadStreams(GetParam(), name)) {
      SCOPED_TRACE(stream.name);
      StreamDecoder decoder(kind, kFrom, kTo, 64 << 20);
      StreamEncoder encoder(kind), again(kind);
      StreamDecoder second(kind, kFrom, kTo, 64 << 20);
      for (const std::string& frame : stream.frames) {
        std::vector<raft::Message> out, repeated;
        const Status status = decoder.Feed(frame, out);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_LE(out.size(), 1u);
        std::string bytes;
        if (out.empty()) {
          encoder.EncodeLinkHeartbeat(bytes);
        } else {
          encoder.Encode(out[0], bytes);
          ++messages;
        }
        // What 3.7.1 writes comes out as the same bytes; what older ones write means the same.
        if (GetParam() == std::string("3.7.1")) {
          EXPECT_EQ(bytes, frame);
        }
        ASSERT_TRUE(second.Feed(bytes, repeated).ok());
        EXPECT_EQ(repeated, out);
      }
    }
  }
  if (messages == 0) GTEST_SKIP() << "shared/vectors/peer is not here";
  EXPECT_GT(messages, 10);
}

INSTANTIATE_TEST_SUITE_P(Versions, CapturedStreams,
                         testing::Values("3.7.1", "mixed-3.6.14-leads", "mixed-3.7.1-leads",
                                         "mixed-3.5.30"));

}  // namespace
}  // namespace quoin::peer
