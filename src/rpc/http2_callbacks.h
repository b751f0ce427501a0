// What nghttp2 tells a server's session, and what it asks of it. Not for others.
//
// No handler's answer may end the session inside a callback: see Http2Session::Condemn.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string_view>

namespace quoin::rpc {

class Http2Call;
class Http2Session;

// A field for nghttp2_submit_*, which copies the value. The name lives on.
nghttp2_nv HeaderField(std::string_view name, std::string_view value);

// Thread: the session's I/O loop.
struct Http2Callbacks {
  static nghttp2_session* NewSession(Http2Session& session);
  // nghttp2_data_provider's callback for the answers of a call.
  static ssize_t Read(nghttp2_session* h2, int32_t id, uint8_t* to, size_t room, uint32_t* flags,
                      nghttp2_data_source*, void*);

 private:
  static int OnBeginHeaders(nghttp2_session* h2, const nghttp2_frame* frame, void* user);
  static int OnHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_bytes, const uint8_t* value, size_t value_bytes, uint8_t flags,
                      void* user);
  static int OnDoubtfulHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name,
                              size_t name_bytes, const uint8_t* value, size_t value_bytes,
                              uint8_t flags, void* user);
  static int OnFrame(nghttp2_session* h2, const nghttp2_frame* frame, void* user);
  static int OnFrameSent(nghttp2_session* h2, const nghttp2_frame* frame, void* user);
  static int OnData(nghttp2_session* h2, uint8_t flags, int32_t id, const uint8_t* data,
                    size_t size, void* user);
  static int OnClose(nghttp2_session* h2, int32_t id, uint32_t error, void* user);

  static Http2Session& Of(void* user) { return *static_cast<Http2Session*>(user); }
  static Http2Call* Call(nghttp2_session* h2, int32_t id) {
    return static_cast<Http2Call*>(nghttp2_session_get_stream_user_data(h2, id));
  }
  template <auto kAdd>
  static int TakeHeader(nghttp2_session* h2, const nghttp2_frame* frame, std::string_view name,
                        std::string_view value, void* user);
  static void NoteReset(Http2Session& self, const Http2Call* call);
};

}  // namespace quoin::rpc
