# Third-party libraries by the short names that layers.txt uses. Static where Debian ships an archive and a
# profile showed that it pays (nghttp2, protobuf); why each library: ARCHITECTURE.md, "Third parties".
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)
find_package(Protobuf REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(yaml-cpp REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark QUIET)
find_library(NGHTTP2_LIBRARY NAMES libnghttp2.a nghttp2 REQUIRED)
find_library(PROTOBUF_STATIC NAMES libprotobuf.a protobuf REQUIRED)

find_library(MIMALLOC_LIBRARY NAMES mimalloc REQUIRED)

set(QUOIN_LIB_absl absl::status absl::statusor absl::strings absl::any_invocable absl::function_ref
    absl::btree absl::flat_hash_map absl::inlined_vector absl::span)
set(QUOIN_LIB_fmt fmt::fmt)
set(QUOIN_LIB_protobuf ${PROTOBUF_STATIC} ZLIB::ZLIB Threads::Threads)
set(QUOIN_LIB_nghttp2 ${NGHTTP2_LIBRARY})
set(QUOIN_LIB_openssl OpenSSL::Crypto)
set(QUOIN_LIB_beast Boost::headers)
set(QUOIN_LIB_json Boost::json)
set(QUOIN_LIB_zlib ZLIB::ZLIB)
set(QUOIN_LIB_yaml yaml-cpp)
# The allocator of the server. Sanitizers bring their own.
if(NOT QUOIN_SANITIZE)
  set(QUOIN_LIB_mimalloc ${MIMALLOC_LIBRARY})
endif()
