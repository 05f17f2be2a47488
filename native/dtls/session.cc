#include "session.h"

#include <openssl/crypto.h>
#include <openssl/srtp.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace rtprelay::dtls {

namespace {

constexpr std::string_view kLabel = "EXTRACTOR-dtls_srtp";
/// IPv4 and UDP headers: what OpenSSL takes off a path's MTU.
constexpr long kPathOverhead = 28;
/// RFC 6347 §4.1.
constexpr std::size_t kRecordHeader = 13;

Session* session_of(BIO* bio) { return static_cast<Session*>(BIO_get_data(bio)); }

int write_packet(BIO* bio, const char* data, int size) {
  if (size <= 0)
    return 0;
  session_of(bio)->give_packet(
      {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)});
  return size;
}

int read_packet(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0)
    return 0;
  const int count = session_of(bio)->take_packet(
      {reinterpret_cast<std::uint8_t*>(data), static_cast<std::size_t>(size)});
  if (count <= 0)
    BIO_set_retry_read(bio);
  return count > 0 ? count : -1;
}

long control(BIO*, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH)
    return 1;
  return command == BIO_CTRL_DGRAM_GET_MTU_OVERHEAD ? kPathOverhead : 0;
}

int created(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

/// One datagram per write and per read: a memory BIO would join them.
const BIO_METHOD* packet_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rtprelay packet");
    if (made != nullptr) {
      BIO_meth_set_write(made, write_packet);
      BIO_meth_set_read(made, read_packet);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, created);
    }
    return made;
  }();
  return method;
}

unsigned next_repeat(SSL*, unsigned last) {
  return last == 0 ? kFirstRepeatMicros : std::min(2 * last, kLastRepeatMicros);
}

std::optional<srtp::Suite> suite_of(const SRTP_PROTECTION_PROFILE* profile) {
  switch (profile == nullptr ? 0 : profile->id) {
  case SRTP_AES128_CM_SHA1_80:
    return srtp::Suite::kAes128CmSha1_80;
  case SRTP_AES128_CM_SHA1_32:
    return srtp::Suite::kAes128CmSha1_32;
  case SRTP_AEAD_AES_128_GCM:
    return srtp::Suite::kAeadAes128Gcm;
  case SRTP_AEAD_AES_256_GCM:
    return srtp::Suite::kAeadAes256Gcm;
  default:
    return std::nullopt;
  }
}

} // namespace

bool Session::create() {
  ERR_clear_error();
  ssl_.reset(SSL_new(identity_->context()));
  Bio bio(packet_method() == nullptr ? nullptr : BIO_new(packet_method()));
  if (!ssl_ || !bio)
    return false;
  BIO_set_data(bio.get(), this);
  SSL* ssl = ssl_.get();
  SSL_set_app_data(ssl, this);
  SSL_set_bio(ssl, bio.get(), bio.get());
  (void)bio.release();
  SSL_set_mtu(ssl, std::max(options_.mtu, kMinMtu));
  DTLS_set_timer_cb(ssl, next_repeat);
  if (options_.role == Role::kActive)
    SSL_set_connect_state(ssl);
  else
    SSL_set_accept_state(ssl);
  return true;
}

bool Session::start(Micros now) {
  started_ = true;
  if (!create())
    return false;
  if (options_.role == Role::kActive)
    proceed(now);
  return true;
}

bool Session::ended() const {
  return status_ == SessionStatus::kRefused || status_ == SessionStatus::kFailed ||
         status_ == SessionStatus::kClosed;
}

int Session::take_packet(std::span<std::uint8_t> out) {
  const std::size_t count = std::min(out.size(), arrived_.size());
  std::copy_n(arrived_.begin(), count, out.begin());
  arrived_ = {};
  return static_cast<int>(count);
}

/// OpenSSL joins records to datagrams that are some bytes larger than the MTU: records are whole
/// wherever they are, so such a one is sent in two.
void Session::give_packet(std::span<const std::uint8_t> packet) {
  const auto mtu = static_cast<std::size_t>(std::max(options_.mtu, kMinMtu));
  std::size_t size = 0;
  while (packet.size() > mtu && packet.size() - size >= kRecordHeader) {
    const std::size_t record =
        kRecordHeader + static_cast<std::size_t>((packet[size + 11] << 8) | packet[size + 12]);
    if (record > packet.size() - size)
      break;
    if (size > 0 && size + record > mtu) {
      outlet_.transmit(packet.first(size));
      packet = packet.subspan(size);
      size = 0;
      continue;
    }
    size += record;
  }
  outlet_.transmit(packet);
}

void Session::on_packet(std::span<const std::uint8_t> packet, Micros now) {
  if (!started_ || ended())
    return;
  if (!ssl_) {
    // The last attempt failed: another begins when its time has come.
    if (now < again_at_ || !create())
      return;
  }
  arrived_ = packet;
  if (SSL_is_init_finished(ssl_.get()) == 1)
    read();
  else
    proceed(now);
  arrived_ = {};
}

void Session::advance(Micros now) {
  if (!started_ || ended() || now < deadline_)
    return;
  if (!ssl_) {
    if (!create())
      return on_handshake_failed(now);
    return proceed(now);
  }
  ERR_clear_error();
  if (DTLSv1_handle_timeout(ssl_.get()) < 0)
    return on_handshake_failed(now);
  set_deadline(now);
}

void Session::proceed(Micros now) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1)
    return on_handshake_done();
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ)
    return on_handshake_failed(now);
  set_deadline(now);
}

void Session::set_deadline(Micros now) {
  timeval left{};
  deadline_ = kNever;
  if (SSL_is_init_finished(ssl_.get()) == 0 && DTLSv1_get_timeout(ssl_.get(), &left) == 1)
    deadline_ = now + left.tv_sec * Micros{1'000'000} + left.tv_usec;
}

void Session::on_handshake_failed(Micros now) {
  ssl_.reset();
  deadline_ = kNever;
  if (mismatch_)
    return set_status(SessionStatus::kRefused);
  if (++failures_ >= kMaxFailures)
    return set_status(SessionStatus::kFailed);
  again_at_ = now + kAgainMicros;
  if (options_.role == Role::kActive)
    deadline_ = again_at_;
}

bool Session::accepts(const X509* certificate) {
  if (!options_.fingerprint.has_value() || options_.waits)
    return true;
  mismatch_ = !matches(certificate, *options_.fingerprint);
  return !mismatch_;
}

void Session::on_handshake_done() {
  deadline_ = kNever;
  if (!suite_of(SSL_get_selected_srtp_profile(ssl_.get())).has_value())
    return set_status(SessionStatus::kFailed);
  set_status(SessionStatus::kUnverified);
  verify();
}

void Session::set_fingerprint(const Fingerprint& fingerprint) {
  if (status_ != SessionStatus::kHandshaking && status_ != SessionStatus::kUnverified)
    return;
  options_.fingerprint = fingerprint;
  if (status_ == SessionStatus::kUnverified)
    verify();
}

void Session::verify() {
  if (!options_.fingerprint.has_value())
    return;
  const X509Certificate certificate(SSL_get1_peer_certificate(ssl_.get()));
  if (!matches(certificate.get(), *options_.fingerprint)) {
    if (!options_.waits)
      set_status(SessionStatus::kRefused);
    return;
  }
  SrtpKeys keys;
  if (!export_keys(keys))
    return set_status(SessionStatus::kFailed);
  release_buffers();
  set_status(SessionStatus::kKeyed);
  outlet_.keyed(keys);
  OPENSSL_cleanse(&keys, sizeof keys);
}

std::vector<std::uint8_t> Session::certificate() const {
  const X509Certificate certificate(ssl_ ? SSL_get1_peer_certificate(ssl_.get()) : nullptr);
  std::uint8_t* der = nullptr;
  const int size = certificate ? i2d_X509(certificate.get(), &der) : 0;
  if (size <= 0)
    return {};
  std::vector<std::uint8_t> out(der, der + size);
  OPENSSL_free(der);
  return out;
}

/// RFC 5764 §4.2: client's key, server's key, client's salt, server's salt.
bool Session::export_keys(SrtpKeys& out) const {
  const auto suite = suite_of(SSL_get_selected_srtp_profile(ssl_.get()));
  if (!suite.has_value())
    return false;
  const srtp::SuiteTraits& traits = srtp::traits_of(*suite);
  const std::size_t key = traits.key_size;
  const std::size_t salt = traits.salt_size;
  std::array<std::uint8_t, 2 * (srtp::kMaxKeySize + srtp::kMaxSaltSize)> material{};
  if (SSL_export_keying_material(ssl_.get(), material.data(), 2 * (key + salt), kLabel.data(),
                                 kLabel.size(), nullptr, 0, 0) != 1)
    return false;
  const bool client = options_.role == Role::kActive;
  srtp::MasterKey& of_client = client ? out.local : out.remote;
  srtp::MasterKey& of_server = client ? out.remote : out.local;
  const std::uint8_t* at = material.data();
  std::copy_n(at, key, of_client.key.begin());
  std::copy_n(at + key, key, of_server.key.begin());
  std::copy_n(at + 2 * key, salt, of_client.salt.begin());
  std::copy_n(at + 2 * key + salt, salt, of_server.salt.begin());
  OPENSSL_cleanse(material.data(), material.size());
  out.suite = *suite;
  return true;
}

/// After the handshake: a last flight that is asked for again, alerts, and data that nobody wants.
void Session::read() {
  std::array<std::uint8_t, 2048> data;
  // One datagram holds a bounded number of records.
  for (int records = 0; records < 64; ++records) {
    ERR_clear_error();
    const int count = SSL_read(ssl_.get(), data.data(), static_cast<int>(data.size()));
    if (count > 0)
      continue;
    const int error = SSL_get_error(ssl_.get(), count);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
      set_status(SessionStatus::kClosed);
    return release_buffers();
  }
}

/// Of the 73 KB of a session that is done 33 are buffers; OpenSSL makes them anew when it needs
/// them.
void Session::release_buffers() { (void)SSL_free_buffers(ssl_.get()); }

void Session::set_status(SessionStatus status) {
  if (status == status_)
    return;
  status_ = status;
  outlet_.status_changed(status);
}

} // namespace rtprelay::dtls
