#include "relay_object.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "addon_state.h"
#include "byte_string.h"

namespace rtprelay::api {

namespace {

/// Waking a thread costs more than everything else a plan does, so plans share it.
constexpr std::uint64_t kOrdersDelayMs = 3;

Napi::Value text(Napi::Env env, const std::string& bytes) {
  // Byte strings: one character per byte.
  napi_value value = nullptr;
  napi_create_string_latin1(env, bytes.data(), bytes.size(), &value);
  return {env, value};
}

Napi::Value endpoint(Napi::Env env, const SocketAddress& address) {
  if (!address.valid())
    return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", text(env, format_host(address)));
  object.Set("port", Napi::Number::New(env, address.port));
  return object;
}

Napi::Value number(Napi::Env env, std::uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value number(Napi::Env env, std::int64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value number(Napi::Env env, std::int32_t value) { return Napi::Number::New(env, value); }

/// Numbers of one stream, in the order of `counter` in src/native/relay.ts.
constexpr std::size_t kSources = 1 + kEarlierSources;
constexpr std::size_t kCounters = 11 + 2 * kSources + kDropReasons;

double ssrc_of(std::uint64_t source) {
  return (source & kSsrcKnown) != 0 ? static_cast<double>(source & 0xffffffff) : -1;
}

double type_of(std::uint64_t source) {
  return (source & kTypeKnown) != 0 ? static_cast<double>((source >> kTypeShift) & 0x7f) : -1;
}

void write_counters(const StreamReading& reading, double* out) {
  const Stream& stream = *reading.stream;
  const StreamCounters& counters = stream.counters;
  const std::uint64_t packets = stream.base.packets + counters.packets.get();
  const std::uint64_t ssrc = counters.ssrc.get();
  const std::uint64_t last = counters.last_packet.get();
  const auto put = [&out](std::uint64_t value) { *out++ = static_cast<double>(value); };
  put(stream.id);
  put(packets);
  put(stream.base.bytes + counters.bytes.get());
  put(stream.base.errors + counters.errors.get());
  put(counters.packets_out.get());
  put(counters.bytes_out.get());
  put(last != 0 ? last : stream.base.last_packet);
  *out++ = ssrc_of(ssrc);
  *out++ = reading.latch.endpoint.valid() ? reading.latch.endpoint.port : -1;
  put(reading.latch.confirmed ? 1 : 0);
  put(last != 0 || stream.base.packets > 0 ? 1 : 0);
  const auto put_source = [&out](std::uint64_t source) {
    *out++ = ssrc_of(source);
    *out++ = type_of(source);
  };
  put_source(ssrc);
  for (const Counter& earlier : counters.earlier)
    put_source(earlier.get());
  for (const auto& drop : counters.drops)
    put(drop.get());
}

/// Numbers of a stream for `glance`; in the order of src/native/relay.ts.
constexpr std::size_t kGlance = 12;

/// The latest report that came as this stream; null: none did.
const QualityEntry* latest_report(const QualityTable& table, std::uint32_t stream_id) {
  const QualityEntry* latest = nullptr;
  for (const auto& [ssrc, reporter] : table.reporters())
    if (reporter.reported && reporter.stream_id == stream_id &&
        (latest == nullptr || reporter.latest.reported_at_seconds > latest->reported_at_seconds))
      latest = &reporter.latest;
  return latest;
}

void write_glance(const Stream& stream, const QualityTable& table, double* out) {
  const StreamCounters& counters = stream.counters;
  const std::uint64_t last = counters.last_packet.get();
  const auto put = [&out](auto value) { *out++ = static_cast<double>(value); };
  put(stream.id);
  put(stream.base.packets + counters.packets.get());
  put(stream.base.bytes + counters.bytes.get());
  put(stream.base.errors + counters.errors.get());
  put(counters.packets_out.get());
  put(last != 0 ? last : stream.base.last_packet);
  std::uint64_t lost = 0;
  if (stream.receptions != nullptr)
    for (const Reception& reception : std::as_const(*stream.receptions).all())
      lost += reception.lost.get();
  put(stream.receptions == nullptr ? -1.0 : static_cast<double>(lost));
  const QualityEntry* report = latest_report(table, stream.id);
  put(report == nullptr ? 0 : report->reported_at_seconds);
  put(report == nullptr ? 0 : report->loss_percent);
  put(report == nullptr ? 0 : report->jitter_ms);
  put(report == nullptr ? 0 : report->mos);
  put(report == nullptr ? 0 : report->round_trip_micros);
}

/// What is counted of one source; `CountedSource` of src/native/relay.ts.
Napi::Object counted_source(Napi::Env env, std::uint32_t stream, const Reception& reception) {
  const std::uint64_t source = reception.source.get();
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) {
    object.Set(name, Napi::Number::New(env, value));
  };
  set("streamId", stream);
  set("ssrc", ssrc_of(source));
  set("payloadType", type_of(source));
  const std::array<std::pair<const char*, const Counter*>, 10> counters{{
      {"packets", &reception.packets},
      {"bytes", &reception.bytes},
      {"lost", &reception.lost},
      {"duplicates", &reception.duplicates},
      {"reordered", &reception.reordered},
      {"skips", &reception.skips},
      {"resets", &reception.resets},
      {"jitter", &reception.jitter},
      {"lastSequence", &reception.last_sequence},
      {"lastTimestamp", &reception.last_timestamp},
  }};
  for (const auto& [name, counter] : counters)
    set(name, static_cast<double>(counter->get()));
  return object;
}

Napi::Object entry_object(Napi::Env env, const QualityEntry& entry, std::int64_t divisor) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("mos", number(env, entry.mos / divisor));
  object.Set("roundTripMicros", number(env, entry.round_trip_micros / divisor));
  object.Set("roundTripLegMicros", number(env, entry.round_trip_leg_micros / divisor));
  object.Set("jitterMs", number(env, entry.jitter_ms / divisor));
  object.Set("packetLossPercent", number(env, entry.loss_percent / divisor));
  return object;
}

Napi::Value timed_entry(Napi::Env env, const QualityEntry& entry) {
  Napi::Object object = entry_object(env, entry, 1);
  object.Set("reportedAtSeconds", number(env, entry.reported_at_seconds));
  return object;
}

Napi::Value optional_entry(Napi::Env env, const std::optional<QualityEntry>& entry) {
  return entry ? timed_entry(env, *entry) : env.Null();
}

Napi::Value quality_object(Napi::Env env, std::uint32_t ssrc, const ReporterQuality& quality) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ssrc", Napi::Number::New(env, ssrc));
  object.Set("streamId", Napi::Number::New(env, quality.stream_id));
  object.Set("cumulativeLoss", number(env, quality.cumulative_loss));
  if (quality.samples > 0) {
    Napi::Object average = entry_object(env, quality.sum, quality.samples);
    average.Set("samples", number(env, quality.samples));
    object.Set("average", average);
  } else {
    object.Set("average", env.Null());
  }
  object.Set("lowest", optional_entry(env, quality.lowest));
  object.Set("highest", optional_entry(env, quality.highest));
  object.Set("latest", timed_entry(env, quality.latest));
  object.Set("progressionIntervalSeconds", number(env, quality.interval_seconds));
  Napi::Array progression = Napi::Array::New(env, quality.progression.size());
  for (std::uint32_t i = 0; i < quality.progression.size(); ++i)
    progression[i] = timed_entry(env, quality.progression[i]);
  object.Set("progression", progression);
  return object;
}

Napi::String errno_name(Napi::Env env, int error) {
  const char* name = strerrorname_np(error);
  return Napi::String::New(env, name == nullptr ? "EUNKNOWN" : name);
}

Napi::Value failure_object(Napi::Env env, const PortFailure& failure) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("portId", Napi::Number::New(env, failure.port_id));
  object.Set("localAddress", text(env, format_host(failure.local)));
  object.Set("localPort", Napi::Number::New(env, failure.local.port));
  object.Set("errno", errno_name(env, failure.error));
  return object;
}

Napi::Value key_object(Napi::Env env, const srtp::MasterKey& master,
                       const srtp::SuiteTraits& traits) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("key", Napi::Buffer<std::uint8_t>::Copy(env, master.key.data(), traits.key_size));
  object.Set("salt", Napi::Buffer<std::uint8_t>::Copy(env, master.salt.data(), traits.salt_size));
  return object;
}

void write_handshake(Napi::Env env, const HandshakeEvent& event, Napi::Object& object) {
  object.Set("generation", Napi::Number::New(env, event.generation));
  object.Set("dtlsStatus", Napi::Number::New(env, static_cast<double>(event.status)));
  if (event.status != dtls::SessionStatus::kKeyed)
    return;
  const srtp::SuiteTraits& traits = srtp::traits_of(event.keys.suite);
  object.Set("suite", Napi::Number::New(env, static_cast<double>(event.keys.suite)));
  object.Set("send", key_object(env, event.keys.local, traits));
  object.Set("receive", key_object(env, event.keys.remote, traits));
  object.Set("certificate", Napi::Buffer<std::uint8_t>::Copy(env, event.certificate.data(),
                                                             event.certificate.size()));
}

Napi::Object event_object(Napi::Env env, const TransportEventRecord& record) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("callId", text(env, record.call_id));
  object.Set("transportId", Napi::Number::New(env, record.transport_id));
  object.Set("bits", Napi::Number::New(env, record.events));
  if ((record.events & kSrtpIndex) != 0) {
    const srtp::SourceIndexes& indexes = record.indexes;
    object.Set("sends", Napi::Boolean::New(env, record.purpose == srtp::Purpose::kProtect));
    object.Set("former", Napi::Boolean::New(env, record.former));
    object.Set("ssrc", Napi::Number::New(env, indexes.ssrc));
    object.Set("rtpIndex", number(env, indexes.has_rtp ? static_cast<std::int64_t>(indexes.rtp)
                                                       : std::int64_t{-1}));
    object.Set("rtcpIndex", number(env, indexes.has_rtcp ? static_cast<std::int64_t>(indexes.rtcp)
                                                         : std::int64_t{-1}));
    object.Set("offset", Napi::Number::New(env, indexes.offset));
    return object;
  }
  if ((record.events & kSsrcLearned) != 0) {
    object.Set("streamId", Napi::Number::New(env, record.stream_id));
    object.Set("ssrc", Napi::Number::New(env, record.ssrc));
    object.Set("endpoint", env.Null());
    return object;
  }
  if ((record.events & kDigitEnded) != 0) {
    object.Set("streamId", Napi::Number::New(env, record.stream_id));
    object.Set("ssrc", Napi::Number::New(env, record.ssrc));
    object.Set("digit", Napi::Number::New(env, record.digit));
    object.Set("volume", Napi::Number::New(env, record.volume));
    object.Set("durationUnits", Napi::Number::New(env, record.duration));
    object.Set("endpoint", env.Null());
    return object;
  }
  if (record.handshake != nullptr) {
    write_handshake(env, *record.handshake, object);
    return object;
  }
  if ((record.events & (kIceSelected | kIceStatus)) != 0) {
    object.Set("portId", Napi::Number::New(env, record.ice_port));
    object.Set("priority", Napi::Number::New(env, record.ice_priority));
    object.Set("iceStatus", Napi::Number::New(env, static_cast<double>(record.ice_status)));
    object.Set("controlling", Napi::Boolean::New(env, record.ice_controlling));
  }
  object.Set("generation", Napi::Number::New(env, record.latch.generation));
  object.Set("endpoint", endpoint(env, record.latch.endpoint));
  object.Set("confirmed", Napi::Boolean::New(env, record.latch.confirmed));
  if ((record.events & kSendFailed) != 0) {
    object.Set("sendFailures", number(env, record.send_failures));
    object.Set("sendErrno", errno_name(env, record.send_error));
  }
  return object;
}

/// Whom and when; null: nobody yet. `error`: errno, 0 without.
Napi::Value sighting(Napi::Env env, const PublishedLatch& who, const Counter& when,
                     std::uint64_t count, int error) {
  if (when.get() == 0)
    return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("endpoint", endpoint(env, who.read().endpoint));
  object.Set("atMicros", number(env, when.get()));
  object.Set("count", number(env, count));
  if (error != 0)
    object.Set("errno", errno_name(env, error));
  return object;
}

Napi::Array payload_types(Napi::Env env, const StreamCounters& counters) {
  Napi::Array types = Napi::Array::New(env);
  std::uint32_t count = 0;
  for (std::uint32_t type = 0; type < 128; ++type)
    if ((counters.payload_types[type >> 6].get() >> (type & 63) & 1) != 0)
      types[count++] = Napi::Number::New(env, type);
  return types;
}

Napi::Object trace_object(Napi::Env env, const StreamReading& reading) {
  const StreamCounters& counters = reading.stream->counters;
  const Transport& transport = *reading.transport;
  Napi::Object object = Napi::Object::New(env);
  object.Set("streamId", Napi::Number::New(env, reading.stream->id));
  object.Set("firstPacketMicros", number(env, counters.first_packet.get()));
  object.Set("learnedMicros", number(env, transport.learned.get()));
  object.Set("ssrcChanges", number(env, counters.ssrc_changes.get()));
  object.Set("ssrcChangedMicros", number(env, counters.ssrc_changed.get()));
  object.Set("payloadType", number(env, counters.last_rtp.get() & 0x7f));
  object.Set("payloadBytes", number(env, counters.last_rtp.get() >> 7));
  object.Set("payloadTypes", payload_types(env, counters));
  object.Set("rtpOnRtcpPort", number(env, counters.stray_rtp.get()));
  const std::uint64_t strangers =
      counters.drops[static_cast<std::size_t>(DropReason::kStrictSource)].get();
  object.Set("stranger", sighting(env, transport.stranger, transport.stranger_heard, strangers, 0));
  object.Set("unreachable", sighting(env, transport.unreachable, transport.unreachable_heard,
                                     transport.unreachable_count.get(),
                                     static_cast<int>(transport.unreachable_error.get())));
  const std::uint64_t failures = transport.send_failures.get();
  object.Set("sendFailures", number(env, failures));
  if (failures > 0)
    object.Set("sendErrno", errno_name(env, static_cast<int>(transport.send_error.get())));
  return object;
}

void fail(Napi::Env env, const char* message) {
  Napi::Error::New(env, message).ThrowAsJavaScriptException();
}

} // namespace

Napi::Function RelayObject::define(Napi::Env env) {
  return DefineClass(env, "Relay",
                     {
                         InstanceMethod<&RelayObject::activate>("activate"),
                         InstanceMethod<&RelayObject::replay_left>("replayLeft"),
                         InstanceMethod<&RelayObject::start_replay>("startReplay"),
                         InstanceMethod<&RelayObject::replay_status>("replayStatus"),
                         InstanceMethod<&RelayObject::pause>("pause"),
                         InstanceMethod<&RelayObject::paused>("paused"),
                         InstanceMethod<&RelayObject::rebase>("rebase"),
                         InstanceMethod<&RelayObject::resume>("resume"),
                         InstanceMethod<&RelayObject::release_resumed>("releaseResumed"),
                         InstanceMethod<&RelayObject::reconcile>("reconcile"),
                         InstanceMethod<&RelayObject::statistics>("statistics"),
                         InstanceMethod<&RelayObject::glance>("glance"),
                         InstanceMethod<&RelayObject::counters>("counters"),
                         InstanceMethod<&RelayObject::keep_ports>("keepPorts"),
                         InstanceMethod<&RelayObject::request_key_frames>("requestKeyFrames"),
                         InstanceMethod<&RelayObject::dial>("dial"),
                         InstanceMethod<&RelayObject::last_packet>("lastPacket"),
                         InstanceMethod<&RelayObject::active_streams>("activeStreams"),
                         InstanceMethod<&RelayObject::totals>("totals"),
                         InstanceMethod<&RelayObject::by_address>("byAddress"),
                         InstanceMethod<&RelayObject::drops>("drops"),
                         InstanceMethod<&RelayObject::traces>("traces"),
                         InstanceMethod<&RelayObject::on_events>("onEvents"),
                         InstanceMethod<&RelayObject::on_rtcp>("onRtcp"),
                         InstanceMethod<&RelayObject::bind_ports>("bindPorts"),
                         InstanceMethod<&RelayObject::expect_ports>("expectPorts"),
                         InstanceMethod<&RelayObject::release_left_ports>("releaseLeftPorts"),
                         InstanceMethod<&RelayObject::close>("close"),
                     });
}

namespace {

/// Policy and priority, from the argument `at` on.
ThreadScheduling scheduling_of(const Napi::CallbackInfo& info, std::size_t at) {
  ThreadScheduling wanted;
  wanted.policy = info[at].As<Napi::Number>().Int32Value();
  if (info[at + 1].IsNumber())
    wanted.priority = info[at + 1].As<Napi::Number>().Int32Value();
  return wanted;
}

} // namespace

Napi::Value try_scheduling(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsNumber()) {
    fail(info.Env(), "trySchedulingOfThread(policy: number, priority?: number, cpu?: number)");
    return info.Env().Undefined();
  }
  ThreadScheduling wanted = scheduling_of(info, 0);
  if (info[2].IsNumber())
    wanted.cpu = info[2].As<Napi::Number>().Int32Value();
  const int error = rtprelay::try_scheduling(wanted);
  if (error == 0)
    return info.Env().Null();
  return Napi::String::New(info.Env(), strerrordesc_np(error));
}

RelayObject::RelayObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RelayObject>(info), environment_(info.Env()) {
  if (info.Length() < 13 || !info[0].IsNumber() || !info[1].IsBoolean() || !info[2].IsNumber() ||
      !info[3].IsBoolean() || !info[4].IsBoolean() || !info[5].IsBoolean() || !info[6].IsNumber() ||
      !info[7].IsString() || !info[8].IsNumber() || !info[10].IsNumber() ||
      !info[12].IsTypedArray() ||
      info[12].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    fail(info.Env(),
         "Relay(workers: number, freeBind: boolean, epochMicros: number, legacyMos: boolean, "
         "listeningMos: boolean, dormant: boolean, dtlsMtu: number, dtlsCiphers: string, "
         "mediaPolicy: number, mediaPriority: number | undefined, idlePolicy: number, "
         "idlePriority: number | undefined, mediaCpus: Int32Array, "
         "portsMap?: number, socketsMap?: number, "
         "blocksMap?: number, replays?: boolean, coalesceMicros?: number)");
    return;
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(environment_, &loop);
  async_ = new uv_async_t; // freed by libuv's close callback
  async_->data = this;
  uv_async_init(loop, async_, on_async);
  // Events alone don't keep the process alive.
  uv_unref(reinterpret_cast<uv_handle_t*>(async_));
  orders_due_ = new uv_timer_t; // likewise
  orders_due_->data = this;
  uv_timer_init(loop, orders_due_);
  uv_unref(reinterpret_cast<uv_handle_t*>(orders_due_));
  RelayOptions options;
  options.workers = info[0].As<Napi::Number>().Uint32Value();
  options.free_bind = info[1].As<Napi::Boolean>().Value() ? FreeBind::kYes : FreeBind::kNo;
  sockets_ = &info.Env().GetInstanceData<AddonState>()->sockets;
  options.sockets = sockets_;
  HeldPacketsOptions& held_packets = info.Env().GetInstanceData<AddonState>()->held_packets;
  options.held_packets = held_packets.wanted ? &held_packets : nullptr;
  options.epoch = info[2].As<Napi::Number>().Int64Value();
  if (info[3].As<Napi::Boolean>().Value())
    options.mos.formula = MosRule::Formula::kLegacy;
  options.mos.listening = info[4].As<Napi::Boolean>().Value();
  options.dormant = info[5].As<Napi::Boolean>().Value();
  if (options.dormant)
    info.Env().GetInstanceData<AddonState>()->stands_by = true;
  options.dtls.mtu = info[6].As<Napi::Number>().Int32Value();
  options.dtls.ciphers = info[7].As<Napi::String>().Utf8Value();
  options.media_scheduling = scheduling_of(info, 8);
  options.idle_scheduling = scheduling_of(info, 10);
  const auto cpus = info[12].As<Napi::Int32Array>();
  options.media_cpus.assign(cpus.Data(), cpus.Data() + cpus.ElementLength());
  if (info.Length() > 15 && info[13].IsNumber() && info[14].IsNumber() && info[15].IsNumber())
    options.steering = {info[13].As<Napi::Number>().Int32Value(),
                        info[14].As<Napi::Number>().Int32Value(),
                        info[15].As<Napi::Number>().Int32Value()};
  options.replays = info.Length() > 16 && info[16].IsBoolean() && info[16].As<Napi::Boolean>();
  if (info.Length() > 17 && info[17].IsNumber())
    options.pace =
        Pace(std::clamp<Micros>(info[17].As<Napi::Number>().Int64Value(), 0, Pace::kMost));
  napi_add_env_cleanup_hook(environment_, on_cleanup, this);
  options_ = std::move(options);
  if (const int error = open(info.Env().GetInstanceData<AddonState>()->early); error != 0) {
    shut_down();
    const std::string reason = strerrordesc_np(error);
    fail(info.Env(), ("the media threads cannot be started: " + reason).c_str());
  }
}

int RelayObject::open(std::unique_ptr<EarlyRelay>& early) {
  if (early != nullptr)
    relay_ = early->take(options_, wake_);
  early.reset();
  const bool runs = relay_ != nullptr;
  if (!runs) {
    wake_ = std::make_unique<Wake>();
    relay_ = std::make_unique<Relay>(options_, Notifier{Wake::notify, wake_.get()});
  }
  wake_->async = async_;
  // What it has told until now nobody has heard.
  if (runs)
    uv_async_send(async_);
  int error = 0;
  return runs || relay_->start(error) ? 0 : error;
}

RelayObject::~RelayObject() { shut_down(); }

void RelayObject::shut_down() {
  if (async_ == nullptr)
    return;
  relay_.reset();
  wake_.reset();
  napi_remove_env_cleanup_hook(environment_, on_cleanup, this);
  async_->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(async_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_async_t*>(handle); });
  async_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(orders_due_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  orders_due_ = nullptr;
}

void RelayObject::on_cleanup(void* self) { static_cast<RelayObject*>(self)->shut_down(); }

void RelayObject::on_async(uv_async_t* async) {
  auto* self = static_cast<RelayObject*>(async->data);
  if (self != nullptr)
    self->deliver_events();
}

void RelayObject::on_orders_due(uv_timer_t* timer) {
  auto* self = static_cast<RelayObject*>(timer->data);
  if (self->relay_ == nullptr)
    return;
  self->relay_->wake_workers_for_orders();
  if (!self->sockets_->flush())
    self->wake_workers_soon();
}

void RelayObject::wake_workers_soon() {
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(orders_due_)) == 0)
    uv_timer_start(orders_due_, on_orders_due, kOrdersDelayMs, 0);
}

void RelayObject::deliver_events() {
  if (relay_ == nullptr)
    return;
  Napi::Env env(environment_);
  Napi::HandleScope scope(env);
  events_.clear();
  relay_->collect(events_);
  deliver_rtcp(env);
  if (events_.empty() || listener_.IsEmpty())
    return;
  Napi::Array batch = Napi::Array::New(env, events_.size());
  for (std::uint32_t i = 0; i < events_.size(); ++i)
    batch[i] = event_object(env, events_[i]);
  // An exception of the listener becomes an uncaught exception, as in any event handler.
  listener_.MakeCallback(Value(), {batch});
}

void RelayObject::deliver_rtcp(Napi::Env env) {
  if (rtcp_listener_.IsEmpty())
    return;
  RtcpCopy copy;
  Napi::Array batch = Napi::Array::New(env);
  for (std::uint32_t count = 0; relay_->take_rtcp(copy); ++count) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("callId", text(env, *copy.call_id));
    object.Set("source", endpoint(env, copy.source));
    object.Set("local", endpoint(env, copy.local));
    object.Set("atMicros", number(env, copy.at));
    object.Set("bytes", Napi::Buffer<std::uint8_t>::Copy(env, copy.bytes.data(), copy.size));
    batch[count] = object;
  }
  if (batch.Length() > 0)
    rtcp_listener_.MakeCallback(Value(), {batch});
}

bool RelayObject::is_open(Napi::Env env) {
  if (relay_ != nullptr)
    return true;
  fail(env, "the relay is closed");
  return false;
}

Napi::Value RelayObject::replay_left(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  return number(env, relay_->replay_left(true));
}

Napi::Value RelayObject::activate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (is_open(env) && !relay_->activate())
    fail(env, "the media threads cannot be started (threads exhausted)");
  if (const auto& activated = env.GetInstanceData<AddonState>()->on_activated; activated)
    activated();
  return env.Undefined();
}

namespace {

/// Texts and ports in turn. false: one of them is no address.
bool to_addresses(const Napi::Value& value, std::vector<SocketAddress>& out) {
  const auto list = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i + 1 < list.Length(); i += 2) {
    const Napi::Value port = list.Get(i + 1);
    if (!parse_address(byte_string(list.Get(i)),
                       static_cast<std::uint16_t>(port.ToNumber().Uint32Value()),
                       out.emplace_back()))
      return false;
  }
  return true;
}

} // namespace

// startReplay(keys: Buffer, hosts, locals, peers: address and port in turn, devices: string[],
// portMin, portMax, bytes, windowMicros: number): string | null: why not
Napi::Value RelayObject::start_replay(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 9 || !info[0].IsBuffer() || !info[1].IsArray() || !info[2].IsArray() ||
      !info[3].IsArray() || !info[4].IsArray() || !info[5].IsNumber() || !info[6].IsNumber() ||
      !info[7].IsNumber() || !info[8].IsNumber()) {
    fail(env, "startReplay(keys: Buffer, hosts, locals, peers, devices: list, portMin, portMax, "
              "bytes, windowMicros: number)");
    return env.Undefined();
  }
  ReplayLinkOptions options;
  const auto keys = info[0].As<Napi::Buffer<std::uint8_t>>();
  for (std::size_t at = 0; at + sizeof(HeartbeatKey) <= keys.Length(); at += sizeof(HeartbeatKey))
    std::copy_n(keys.Data() + at, sizeof(HeartbeatKey), options.replay.keys.emplace_back().begin());
  std::vector<SocketAddress> locals;
  std::vector<SocketAddress> peers;
  if (options.replay.keys.empty() || !to_addresses(info[1], options.replay.hosts) ||
      !to_addresses(info[2], locals) || !to_addresses(info[3], peers) ||
      locals.size() != peers.size()) {
    fail(env, "startReplay: keys and addresses");
    return env.Undefined();
  }
  for (std::size_t i = 0; i < locals.size(); ++i)
    options.paths.push_back({locals[i], peers[i]});
  const auto devices = info[4].As<Napi::Array>();
  for (std::uint32_t i = 0; i < devices.Length(); ++i)
    options.devices.push_back(byte_string(devices.Get(i)));
  options.replay.port_min = static_cast<std::uint16_t>(info[5].ToNumber().Uint32Value());
  options.replay.port_max = static_cast<std::uint16_t>(info[6].ToNumber().Uint32Value());
  options.replay.bytes = info[7].ToNumber().Uint32Value();
  options.replay.window = info[8].ToNumber().Int64Value();
  std::string fault;
  if (relay_->start_replay(std::move(options), fault))
    return env.Null();
  return text(env, fault);
}

Napi::Value RelayObject::replay_status(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const ReplayLink* const link = relay_ == nullptr ? nullptr : relay_->replay_link();
  if (link == nullptr)
    return env.Null();
  const ReplayCounters& counters = link->counters();
  const auto now = static_cast<std::uint64_t>(monotonic_micros());
  const auto ago = [&](const Counter& moment) {
    const std::uint64_t at = moment.get();
    return at == 0 ? env.Null() : number(env, now - std::min(now, at));
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("silentMicros", ago(counters.last_heartbeat));
  const std::array<std::pair<const char*, const Counter*>, 16> counted{{
      {"heartbeats", &counters.heartbeats},
      {"longestGapMicros", &counters.longest_gap},
      {"repeated", &counters.repeated},
      {"outdated", &counters.outdated},
      {"forged", &counters.forged},
      {"malformed", &counters.malformed},
      {"kept", &counters.kept},
      {"keptBytes", &counters.kept_bytes},
      {"heard", &counters.heard},
      {"replayed", &counters.replayed},
      {"alreadySent", &counters.already_sent},
      {"unknown", &counters.unknown},
      {"crowdedOut", &counters.crowded_out},
      {"sources", &counters.sources},
      {"tooManySources", &counters.too_many_sources},
      {"takeovers", &counters.takeovers},
  }};
  for (const auto& [name, counter] : counted)
    object.Set(name, number(env, counter->get()));
  object.Set("missedFrames", number(env, link->missed_frames()));
  object.Set("untold", number(env, link->untold()));
  object.Set("secret", number(env, link->secret()));
  Napi::Array paths = Napi::Array::New(env);
  for (const auto& path : link->paths()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("received", number(env, path->received.get()));
    entry.Set("silentMicros", ago(path->last));
    entry.Set("sendFailures", number(env, path->send_failures.get()));
    paths[paths.Length()] = entry;
  }
  object.Set("paths", paths);
  return object;
}

Napi::Value RelayObject::pause(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  usual_ = rtprelay::scheduling_of();
  make_urgent();
  relay_->pause();
  // What it has just learned is told before others go on.
  deliver_events();
  return env.Undefined();
}

/// Packets wait no longer for the thread that has called `pause`.
Napi::Value RelayObject::paused(const Napi::CallbackInfo& info) {
  if (usual_)
    make_usual(*usual_);
  usual_.reset();
  return info.Env().Undefined();
}

// rebase(callId: string, counters: Float64Array): stream, packets, bytes, errors, last packet of
// each
Napi::Value RelayObject::rebase(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsTypedArray()) {
    fail(env, "rebase(callId: string, counters: Float64Array)");
    return env.Undefined();
  }
  constexpr std::size_t kPerStream = 5;
  const std::string call_id = byte_string(info[0]);
  const auto counters = info[1].As<Napi::Float64Array>();
  for (std::size_t at = 0; at + kPerStream <= counters.ElementLength(); at += kPerStream) {
    const auto number = [&](std::size_t position) {
      return static_cast<std::uint64_t>(std::max(counters[at + position], 0.0));
    };
    StreamBase base;
    base.packets = number(1);
    base.bytes = number(2);
    base.errors = number(3);
    base.last_packet = number(4);
    relay_->rebase(call_id, static_cast<std::uint32_t>(number(0)), base);
  }
  return env.Undefined();
}

Napi::Value RelayObject::resume(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1 || !info[0].IsString()) {
    fail(env, "resume(path: string, pins?: string)");
    return env.Undefined();
  }
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const std::uint64_t count = relay_->resume(path.c_str());
  if (info[1].IsString())
    note_relay(options_, path, info[1].As<Napi::String>().Utf8Value());
  return number(env, count);
}

Napi::Value RelayObject::release_resumed(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return is_open(env) ? number(env, std::uint64_t{relay_->release_resumed()}) : env.Undefined();
}

Napi::Value RelayObject::reconcile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[0].IsBuffer() || !info[1].IsNumber()) {
    fail(env, "reconcile(plan: Buffer, length: number)");
    return env.Undefined();
  }
  const auto buffer = info[0].As<Napi::Buffer<std::uint8_t>>();
  const std::size_t length = info[1].As<Napi::Number>().Uint32Value();
  if (length > buffer.Length()) {
    fail(env, "the length is greater than the buffer");
    return env.Undefined();
  }
  std::vector<PortFailure> failures;
  const PlanError error = relay_->reconcile({buffer.Data(), length}, failures);
  if (error != PlanError::kNone)
    return Napi::String::New(env, describe(error));
  wake_workers_soon();
  if (failures.empty())
    return env.Undefined();
  Napi::Array result = Napi::Array::New(env, failures.size());
  for (std::uint32_t i = 0; i < failures.size(); ++i)
    result[i] = failure_object(env, failures[i]);
  return result;
}

Napi::Value RelayObject::keep_ports(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1 || !info[0].IsArray()) {
    fail(env, "keepPorts(callIds: string[])");
    return env.Undefined();
  }
  const auto ids = info[0].As<Napi::Array>();
  std::vector<std::string> call_ids;
  for (std::uint32_t i = 0; i < ids.Length(); ++i)
    call_ids.push_back(byte_string(ids[i]));
  relay_->keep_ports(call_ids);
  return env.Undefined();
}

Napi::Value RelayObject::request_key_frames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1) {
    fail(env, "requestKeyFrames(callId: string)");
    return env.Undefined();
  }
  return Napi::Boolean::New(env, relay_->request_key_frames(byte_string(info[0])));
}

Napi::Value RelayObject::dial(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  constexpr std::size_t kNumbers = 8;
  if (info.Length() < 2 || !info[1].IsTypedArray() ||
      info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
      info[1].As<Napi::TypedArray>().ElementLength() != kNumbers) {
    fail(
        env,
        "dial(callId: string, [stream, event, volume, payloadType, duration, pause, frame, told])");
    return env.Undefined();
  }
  const auto numbers = info[1].As<Napi::Uint32Array>();
  const Digit digit{.event = static_cast<std::uint8_t>(numbers[1]),
                    .volume = static_cast<std::uint8_t>(numbers[2] & 0x3fU),
                    .payload_type = static_cast<std::uint8_t>(numbers[3] & 0x7fU),
                    .duration = numbers[4],
                    .pause = numbers[5],
                    .frame = numbers[6],
                    .told = numbers[7] != 0};
  return Napi::Boolean::New(env, relay_->dial(byte_string(info[0]), numbers[0], digit));
}

Napi::Value RelayObject::statistics(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[1].IsTypedArray()) {
    fail(env, "statistics(callId: string, counters: Float64Array)");
    return env.Undefined();
  }
  CallReading reading;
  if (!relay_->read(byte_string(info[0]), reading))
    return env.Null();
  auto counters = info[1].As<Napi::Float64Array>();
  const std::size_t needed = reading.streams.size() * kCounters;
  if (counters.ElementLength() < needed)
    return number(env, static_cast<std::uint64_t>(needed));
  Napi::Array hosts = Napi::Array::New(env, reading.streams.size());
  for (std::uint32_t i = 0; i < reading.streams.size(); ++i) {
    const StreamReading& stream = reading.streams[i];
    write_counters(stream, counters.Data() + i * kCounters);
    if (stream.latch.endpoint.valid())
      hosts[i] = text(env, format_host(stream.latch.endpoint));
  }
  const auto& reporters = reading.quality->reporters();
  const auto is_counted = [](const StreamReading& stream) {
    return stream.stream->receptions != nullptr;
  };
  // Each object that is made costs about as much as all of the counters.
  if (reporters.empty() && std::none_of(reading.streams.begin(), reading.streams.end(), is_counted))
    return hosts;
  Napi::Object result = Napi::Object::New(env);
  result.Set("hosts", hosts);
  Napi::Array ssrcs = Napi::Array::New(env);
  std::uint32_t count = 0;
  for (const auto& [ssrc, quality] : reporters)
    if (quality.reported)
      ssrcs[count++] = quality_object(env, ssrc, quality);
  result.Set("ssrcs", ssrcs);
  Napi::Array counted = Napi::Array::New(env);
  count = 0;
  for (const StreamReading& stream : reading.streams) {
    if (!is_counted(stream))
      continue;
    for (const Reception& reception : std::as_const(*stream.stream->receptions).all())
      if (reception.source.get() != 0)
        counted[count++] = counted_source(env, stream.stream->id, reception);
  }
  result.Set("counted", counted);
  return result;
}

Napi::Value RelayObject::glance(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[1].IsTypedArray()) {
    fail(env, "glance(callId: string, counters: Float64Array)");
    return env.Undefined();
  }
  CallCounters reading;
  if (!relay_->read(byte_string(info[0]), reading))
    return number(env, std::int64_t{-1});
  auto counters = info[1].As<Napi::Float64Array>();
  const std::size_t needed = reading.streams.size() * kGlance;
  if (counters.ElementLength() >= needed)
    for (std::size_t i = 0; i < reading.streams.size(); ++i)
      write_glance(*reading.streams[i], *reading.quality, counters.Data() + i * kGlance);
  return number(env, static_cast<std::uint64_t>(needed));
}

Napi::Value RelayObject::counters(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[1].IsTypedArray()) {
    fail(env, "counters(callId: string, counters: Float64Array)");
    return env.Undefined();
  }
  auto counters = info[1].As<Napi::Float64Array>();
  const std::size_t needed =
      relay_->heard(byte_string(info[0]), {counters.Data(), counters.ElementLength()});
  return number(env, static_cast<std::uint64_t>(needed));
}

Napi::Value RelayObject::last_packet(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1) {
    fail(env, "lastPacket(callId: string)");
    return env.Undefined();
  }
  return number(env, relay_->last_packet(byte_string(info[0])));
}

Napi::Value RelayObject::active_streams(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  return number(env, static_cast<std::uint64_t>(relay_->active_streams()));
}

Napi::Value RelayObject::totals(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  const Totals totals = relay_->totals();
  Napi::Object result = Napi::Object::New(env);
  result.Set("packets", number(env, totals.packets));
  result.Set("bytes", number(env, totals.bytes));
  result.Set("errors", number(env, totals.errors));
  return result;
}

Napi::Value RelayObject::by_address(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  const std::vector<AddressCounters> all = relay_->by_address();
  Napi::Array result = Napi::Array::New(env, all.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const AddressCounters& each = all[i];
    const ReportSums& reports = each.reports;
    const auto count = [](std::uint64_t value) { return static_cast<double>(value); };
    // The order of `addressCountersOf` in src/native/relay.ts.
    const std::array<double, 17> counters{count(each.received.packets),
                                          count(each.received.bytes),
                                          count(each.received.errors),
                                          count(each.packets_out),
                                          count(each.bytes_out),
                                          count(reports.reports),
                                          reports.jitter_ms.total,
                                          reports.jitter_ms.squares,
                                          reports.round_trip_micros.total,
                                          reports.round_trip_micros.squares,
                                          reports.round_trip_leg_micros.total,
                                          reports.round_trip_leg_micros.squares,
                                          reports.loss_percent.total,
                                          reports.loss_percent.squares,
                                          count(reports.rated),
                                          reports.mos.total,
                                          reports.mos.squares};
    Napi::Float64Array numbers = Napi::Float64Array::New(env, counters.size());
    std::ranges::copy(counters, numbers.Data());
    Napi::Object object = Napi::Object::New(env);
    object.Set("address", text(env, format_host(each.address)));
    object.Set("counters", numbers);
    result[i] = object;
  }
  return result;
}

Napi::Value RelayObject::drops(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  const DropTotals drops = relay_->drops();
  Napi::Array result = Napi::Array::New(env, drops.size());
  for (std::uint32_t i = 0; i < drops.size(); ++i)
    result[i] = number(env, drops[i]);
  return result;
}

Napi::Value RelayObject::traces(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1) {
    fail(env, "traces(callId: string)");
    return env.Undefined();
  }
  CallReading reading;
  Napi::Array result = Napi::Array::New(env);
  if (!relay_->read(byte_string(info[0]), reading))
    return result;
  for (std::uint32_t i = 0; i < reading.streams.size(); ++i)
    result[i] = trace_object(env, reading.streams[i]);
  return result;
}

Napi::Value RelayObject::on_events(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsFunction()) {
    fail(env, "onEvents(listener: function)");
    return env.Undefined();
  }
  listener_ = Napi::Persistent(info[0].As<Napi::Function>());
  return env.Undefined();
}

Napi::Value RelayObject::on_rtcp(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 1 || !info[0].IsFunction()) {
    fail(env, "onRtcp(listener: function)");
    return env.Undefined();
  }
  rtcp_listener_ = Napi::Persistent(info[0].As<Napi::Function>());
  relay_->copy_rtcp();
  return env.Undefined();
}

Napi::Value RelayObject::bind_ports(const Napi::CallbackInfo& info) {
  if (is_open(info.Env()))
    relay_->bind_ports();
  return info.Env().Undefined();
}

// expectPorts(hosts, ports)
Napi::Value RelayObject::expect_ports(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  if (info.Length() < 2 || !info[0].IsArray() || !info[1].IsArray()) {
    fail(env, "expectPorts(hosts: string[], ports: number[])");
    return env.Undefined();
  }
  const auto hosts = info[0].As<Napi::Array>();
  const auto ports = info[1].As<Napi::Array>();
  std::vector<SocketAddress> locals;
  for (std::uint32_t i = 0; i < std::min(hosts.Length(), ports.Length()); ++i) {
    SocketAddress local;
    const std::uint32_t port = Napi::Value(ports[i]).ToNumber().Uint32Value();
    if (port > 0 && port <= 65'535 &&
        parse_address(Napi::Value(hosts[i]).ToString().Utf8Value(),
                      static_cast<std::uint16_t>(port), local))
      locals.push_back(local);
  }
  relay_->expect_ports(locals);
  return env.Undefined();
}

Napi::Value RelayObject::release_left_ports(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!is_open(env))
    return env.Undefined();
  return number(env, static_cast<std::uint64_t>(relay_->release_left_ports()));
}

Napi::Value RelayObject::close(const Napi::CallbackInfo& info) {
  shut_down();
  return info.Env().Undefined();
}

} // namespace rtprelay::api
