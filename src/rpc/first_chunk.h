// FirstChunk: holds back the first bytes of a chunked body until there are five of them.
//
// Beast's parser ends the process when a body without any bytes ("0\r\n\r\n") comes in pieces and
// it is shown three or four of those five. Every chunked body has five bytes, so that waiting for
// them delays nothing.
//
// Value type, one for each message.
#pragma once

#include <cstddef>

namespace quoin::rpc {

class FirstChunk {
 public:
  // Whether the parser must not see the `bytes` that there are yet.
  template <typename Parser>
  bool Waits(const Parser& parser, size_t bytes) {
    in_body_ = parser.is_header_done();
    return in_body_ && !begun_ && bytes < 5 && parser.chunked();
  }
  // After the parser has seen them and taken `used`.
  template <typename Parser>
  void Parsed(Parser& parser, size_t used) {
    begun_ = begun_ || (in_body_ && used > 0) || !parser.get().body().empty();
  }

 private:
  bool in_body_ = false;
  bool begun_ = false;
};

}  // namespace quoin::rpc
