// WatchConnection against bytes made by hand: whatever way they are cut, the same events come out.
#include "bench/watch_connection.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quoin::bench {
namespace {

struct Notes final : WatchConnection::Observer {
  void OnCreated(size_t stream, int64_t id) override { Note("created", stream, id, ""); }
  void OnCanceled(size_t stream, int64_t id) override { Note("canceled", stream, id, ""); }
  void OnEvent(size_t stream, int64_t id, std::string_view event) override {
    Note("event", stream, id, event);
  }
  void Note(std::string what, size_t stream, int64_t id, std::string_view event) {
    all.push_back(what + " " + std::to_string(stream) + " " + std::to_string(id) + " " +
                  std::string(event));
  }
  std::vector<std::string> all;
};

std::string Frame(uint8_t type, uint32_t stream, std::string_view payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += '\0';
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}

std::string Message(std::string_view bytes) {
  return std::string(4, '\0') + static_cast<char>(bytes.size()) + std::string(bytes);
}

// A header (field 1), then what the response says.
const std::string kCreated = Message({"\x0a\x02\x18\x05\x10\x07\x18\x01", 8});
const std::string kEvents = Message("\x0a\x02\x18\x05\x10\x07\x5a\x03one\x5a\x03two");
const std::string kCanceled = Message({"\x10\x07\x20\x01", 4});

TEST(WatchConnectionTest, ReadsResponsesHoweverTheyAreCut) {
  const std::string both = kEvents + kCanceled;
  const std::string bytes = Frame(4, 0, "") + Frame(0, 3, kCreated) +
                            Frame(0, 3, both.substr(0, 9)) + Frame(0, 1, kCreated) +
                            Frame(0, 3, both.substr(9));
  const std::vector<std::string> expected = {"created 1 7 ", "created 0 7 ", "event 1 7 one",
                                             "event 1 7 two", "canceled 1 7 "};
  for (size_t step = 1; step <= bytes.size(); ++step) {
    Notes notes;
    WatchConnection connection("host:1", 2, 1 << 20, notes);
    for (size_t at = 0; at < bytes.size(); at += step)
      ASSERT_TRUE(connection.Receive(std::string_view(bytes).substr(at, step))) << step;
    EXPECT_EQ(notes.all, expected) << step;
  }
}

TEST(WatchConnectionTest, SendsNoMoreThanTheServersWindows) {
  Notes notes;
  WatchConnection connection("host:1", 1, 1 << 20, notes);
  connection.output().clear();
  const std::string key(1000, 'k');
  for (int i = 0; i < 100; ++i) connection.Create(0, {.key = key});
  const size_t sent = connection.output().size();
  EXPECT_LT(sent, 65535u + 100 * 9);
  EXPECT_GT(sent, 65535u);
  // Both windows must grow.
  const std::string more("\0\1\0\0", 4);
  ASSERT_TRUE(connection.Receive(Frame(8, 0, more)));
  EXPECT_EQ(connection.output().size(), sent);
  ASSERT_TRUE(connection.Receive(Frame(8, 1, more)));
  EXPECT_GT(connection.output().size(), sent + 100 * 1000 - 65535);
}

TEST(WatchConnectionTest, GivesTheWindowBack) {
  Notes notes;
  WatchConnection connection("host:1", 1, 65536, notes);
  connection.output().clear();
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(connection.Receive(Frame(0, 1, kEvents)));
  EXPECT_EQ(notes.all.size(), 6000u);
  EXPECT_NE(connection.output().find(std::string("\0\0\4\x8\0\0\0\0\1", 9)), std::string::npos);
  EXPECT_NE(connection.output().find(std::string("\0\0\4\x8\0\0\0\0\0", 9)), std::string::npos);
}

TEST(WatchConnectionTest, RefusesWhatIsNoResponse) {
  for (const std::string& bytes : {Frame(0, 1, Message("\x5a\x7fshort")), Frame(0, 5, kCreated),
                                   Frame(3, 1, "1234"), Frame(7, 0, "12345678")}) {
    Notes notes;
    WatchConnection connection("host:1", 1, 1 << 20, notes);
    EXPECT_FALSE(connection.Receive(bytes));
    EXPECT_NE(connection.error(), "");
  }
}

}  // namespace
}  // namespace quoin::bench
