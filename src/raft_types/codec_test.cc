// The codec against itself, against what etcd's members of three versions said to each other
// (vectors/peer of the shared material: QUOIN_SHARED, or beside the source tree), and against
// damaged input.

#include "raft_types/codec.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace quoin::raft {
namespace {

namespace fs = std::filesystem;

fs::path SharedPath() {
  if (const char* given = std::getenv("QUOIN_SHARED")) return given;
  return fs::path(QUOIN_SOURCE_DIR) / ".." / "shared";
}

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

template <typename T>
std::string Encoded(void (*encode)(const T&, std::string&), const T& value) {
  std::string out;
  encode(value, out);
  return out;
}

// The string value of the first `"name": "…"` at or after `from`.
std::string StringAfter(const std::string& json, std::string_view name, size_t from) {
  const std::string key = "\"" + std::string(name) + "\": \"";
  const size_t at = json.find(key, from);
  if (at == std::string::npos) return "";
  return json.substr(at + key.size(), json.find('"', at + key.size()) - at - key.size());
}

// A captured raftpb.Message and the version of the member that sent it.
struct Captured {
  std::string group, version, bytes;
};

// What stands in front of a message on its route; nullopt for the compact frames of msgapp v2.
std::optional<std::string> Unframed(const std::string& via, const std::string& frame) {
  if (via == "pipeline" || via == "snapshot") return frame;
  if (via == "stream-message") return frame.substr(8);
  if (via == "stream-msgapp" && frame[0] == 2) return frame.substr(9);
  return std::nullopt;
}

std::vector<Captured> ReadCaptures(const std::string& folder) {
  std::ifstream file(SharedPath() / "vectors/peer" / folder / "messages-by-type.json");
  std::stringstream text;
  text << file.rdbuf();
  const std::string json = text.str();
  std::vector<Captured> out;
  std::string group;
  for (size_t at = 0, next; at < json.size(); at = next + 1) {
    next = std::min(json.find('\n', at), json.size());
    const std::string line = json.substr(at, next - at);
    if (line.starts_with(" \"") && line.ends_with("[")) {
      group = line.substr(2, line.find('"', 2) - 2);
    }
    if (!line.starts_with("   \"via\": ")) continue;
    const std::string frame = FromHex(StringAfter(json, "hex", at));
    const size_t from = group.find(" from ");
    const std::string version = from == std::string::npos ? folder : group.substr(from + 6);
    if (std::optional<std::string> bytes = Unframed(StringAfter(json, "via", at), frame)) {
      out.push_back({group, version, *bytes});
    }
  }
  return out;
}

std::vector<Captured> AllCaptures() {
  std::vector<Captured> out;
  for (const char* folder : {"3.7.1", "mixed-3.5.30", "mixed-3.6.14-leads", "mixed-3.7.1-leads"}) {
    for (Captured& captured : ReadCaptures(folder)) out.push_back(std::move(captured));
  }
  return out;
}

TEST(Captures, TheNewestVersionsMessagesAreEncodedToTheSameBytes) {
  const std::vector<Captured> captures = AllCaptures();
  if (captures.empty()) GTEST_SKIP() << "no captures below " << SharedPath();
  size_t compared = 0;
  for (const Captured& captured : captures) {
    if (captured.version != "3.7.1") continue;
    // The streams' own keep-alive is no message of raft: the peer room writes it.
    if (captured.group.starts_with("link heartbeat")) continue;
    // An answer echoes the asker's entry, explicit zeros of a 3.6 member included; a value has no
    // place for those.
    if (captured.group == "MsgReadIndexResp from 3.7.1") continue;
    StatusOr<Message> message = DecodeMessage(captured.bytes);
    ASSERT_TRUE(message.ok()) << captured.group << ": " << message.status();
    EXPECT_EQ(Encoded(EncodeMessage, *message), captured.bytes) << captured.group;
    ++compared;
  }
  EXPECT_GE(compared, 60u);
}

TEST(Captures, WhatOlderVersionsWriteKeepsItsMeaning) {
  const std::vector<Captured> captures = AllCaptures();
  if (captures.empty()) GTEST_SKIP() << "no captures below " << SharedPath();
  size_t compared = 0;
  for (const Captured& captured : captures) {
    StatusOr<Message> message = DecodeMessage(captured.bytes);
    ASSERT_TRUE(message.ok()) << captured.group << ": " << message.status();
    StatusOr<Message> again = DecodeMessage(Encoded(EncodeMessage, *message));
    ASSERT_TRUE(again.ok()) << captured.group;
    EXPECT_EQ(*again, *message) << captured.group;
    compared += captured.version != "3.7.1";
  }
  EXPECT_GE(compared, 60u);
}

// ---- known bytes: the forms of docs/formats/raftpb.md ----

TEST(Bytes, AnEntryHasItsTypeOnlyWhenItIsNotNormal) {
  EXPECT_EQ(Encoded(EncodeEntry, Entry{Term(2), Index(4), EntryType::kNormal, {}}),
            FromHex("10021804"));
  EXPECT_EQ(Encoded(EncodeEntry, Entry{Term(0), Index(0), EntryType::kNormal, SharedBytes("z")}),
            FromHex("22017a"));
  EXPECT_EQ(
      Encoded(EncodeEntry, Entry{Term(1), Index(300), EntryType::kConfChange, SharedBytes("ab")}),
      FromHex("0801100118ac0222026162"));
}

TEST(Bytes, AHardStateHasAllThreeFields) {
  EXPECT_EQ(Encoded(EncodeHardState, HardState{Term(1), NodeId(0), Index(3)}),
            FromHex("080110001803"));
}

TEST(Bytes, FormsOfOlderVersionsAreRead) {
  const StatusOr<Entry> entry = DecodeEntry(FromHex("08001002180422017a"));
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(*entry, (Entry{Term(2), Index(4), EntryType::kNormal, SharedBytes("z")}));
  const StatusOr<ConfChange> change = DecodeConfChange(FromHex("080010021807"));
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change->type, ConfChangeType::kUpdateNode);
  EXPECT_EQ(change->node_id, NodeId(7));
  // Repeated ids one by one and packed are the same.
  const StatusOr<ConfState> one = DecodeConfState(FromHex("080108022800")),
                            packed = DecodeConfState(FromHex("0a020102"));
  ASSERT_TRUE(one.ok() && packed.ok());
  EXPECT_EQ(*one, *packed);
}

TEST(Bytes, UnknownFieldsArePassedOver) {
  const StatusOr<HardState> state = DecodeHardState(FromHex("0801fa0103787878180f"));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->commit, Index(15));
}

TEST(Bytes, WhatIsMalformedIsAnError) {
  for (const char* hex : {
           "10",                      // no value
           "0803",                    // an entry type that does not exist
           "22ff01",                  // data that reach beyond the end
           "1002180422",              // no length
           "12021804",                // term of the wrong wire type
           "10ffffffffffffffffff7f",  // a varint of more than 64 bits
           "0010",                    // field number 0
           "0b",                      // a group
       }) {
    EXPECT_FALSE(DecodeEntry(FromHex(hex)).ok()) << hex;
  }
  EXPECT_FALSE(DecodeMessage(FromHex("0818")).ok());         // type 24
  EXPECT_FALSE(DecodeMessage(FromHex("3a020803")).ok());     // a malformed entry inside
  EXPECT_FALSE(DecodeSnapshot(FromHex("12030a0108")).ok());  // a malformed ConfState inside
}

// ---- random values ----

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}
  // Numbers of every varint length, the ends included.
  uint64_t Number() {
    const uint64_t bits = random_() % 66;
    if (bits == 0) return 0;
    return bits == 65 ? UINT64_MAX : random_() >> (64 - bits);
  }
  std::string Bytes() {
    std::string out(random_() % 4 == 0 ? random_() % 300 : random_() % 3, '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }
  template <typename E>
  E Enum(int count) {
    return static_cast<E>(random_() % count);
  }
  bool Bool() { return random_() % 2 == 0; }
  Entry AnEntry() {
    return {Term(Number()), Index(Number()), Enum<EntryType>(3), SharedBytes(Bytes())};
  }
  std::vector<NodeId> Ids() {
    std::vector<NodeId> out(random_() % 4);
    for (NodeId& id : out) id = NodeId(Number());
    return out;
  }
  ConfState AConfState() { return {Ids(), Ids(), Ids(), Ids(), Bool()}; }
  // A snapshot with index 0 says "no snapshot" in a message.
  Snapshot ASnapshot() {
    return {SharedBytes(Bytes()), {AConfState(), Index(Number() | 1), Term(Number())}};
  }
  ConfChangeV2 AConfChangeV2() {
    ConfChangeV2 out{Enum<ConfChangeTransition>(3), {}, Bytes()};
    out.changes.resize(random_() % 4);
    for (ConfChangeSingle& single : out.changes) {
      single = {Enum<ConfChangeType>(4), NodeId(Number())};
    }
    return out;
  }
  Message AMessage() {
    Message out;
    out.type = Enum<MessageType>(24);
    out.to = NodeId(Number()), out.from = NodeId(Number());
    out.term = Term(Number()), out.log_term = Term(Number());
    out.index = Index(Number()), out.commit = Index(Number());
    out.vote = NodeId(Number());
    for (size_t i = random_() % 4; i > 0; --i) out.entries.push_back(AnEntry());
    if (Bool()) out.snapshot = ASnapshot();
    out.reject = Bool();
    out.reject_hint = Index(Number());
    out.context = Bytes();
    return out;
  }
  uint64_t Below(uint64_t n) { return random_() % n; }

 private:
  std::mt19937_64 random_;
};

template <typename T>
void ExpectSame(const T& value, void (*encode)(const T&, std::string&),
                StatusOr<T> (*decode)(std::string_view)) {
  const std::string bytes = Encoded(encode, value);
  const StatusOr<T> decoded = decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, value);
  EXPECT_EQ(Encoded(encode, *decoded), bytes);
}

TEST(RoundTrip, RandomValuesComeBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Maker make(seed);
  for (int i = 0; i < 3000 && !testing::Test::HasFailure(); ++i) {
    const Entry entry = make.AnEntry();
    EXPECT_EQ(Encoded(EncodeEntry, entry).size(), EncodedEntrySize(entry));
    ExpectSame(entry, EncodeEntry, DecodeEntry);
    const HardState state{Term(make.Number()), NodeId(make.Number()), Index(make.Number())};
    ExpectSame(state, EncodeHardState, DecodeHardState);
    ExpectSame(make.AConfState(), EncodeConfState, DecodeConfState);
    const ConfChange change{make.Number(), make.Enum<ConfChangeType>(4), NodeId(make.Number()),
                            make.Bytes()};
    ExpectSame(change, EncodeConfChange, DecodeConfChange);
    ExpectSame(make.AConfChangeV2(), EncodeConfChangeV2, DecodeConfChangeV2);
    ExpectSame(make.ASnapshot(), EncodeSnapshot, DecodeSnapshot);
    ExpectSame(make.AMessage(), EncodeMessage, DecodeMessage);
  }
}

// Damaged bytes are an error or another value, whose encoding is stable.
TEST(RoundTrip, DamagedMessagesNeverCrash) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Maker make(seed);
  size_t refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = Encoded(EncodeMessage, make.AMessage());
    if (bytes.empty()) continue;
    if (make.Bool()) bytes.resize(make.Below(bytes.size()));
    for (uint64_t n = make.Below(3); n > 0 && !bytes.empty(); --n) {
      bytes[make.Below(bytes.size())] ^= static_cast<char>(1 << make.Below(8));
    }
    const StatusOr<Message> message = DecodeMessage(bytes);
    refused += !message.ok();
    if (!message.ok() || (message->snapshot.empty() && message->snapshot != Snapshot())) continue;
    const StatusOr<Message> again = DecodeMessage(Encoded(EncodeMessage, *message));
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(*again, *message);
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace quoin::raft
