/* larder.hpp: larder.h for C++17 and later, header-only.
 *
 *   larderpp::store db("pantry", larderpp::options().set("sync", "none"));
 *   db.set("jam", "apricot");
 *   if (auto value = db.get("jam")) std::cout << *value;
 *   for (auto [key, value] : db.scan("user:")) ...
 *
 * What it is: handles that close themselves and can be moved, not copied; keys and values as std::string_view going in
 * and std::string coming out, any bytes; "no such key" as an empty std::optional or false; every failure as one
 * exception class, larderpp::error, that carries status, errno, offset and message. Nothing to link beyond liblarder.
 *
 * Functions named try_... are noexcept and return the larder_status; they neither throw nor allocate. The library
 * itself never throws.
 *
 * Threads: those of larder.h. A store may be used from any thread at any time (but moved or destroyed by one, when the
 * others are done); cursors, batches and views are for one thread at a time.
 *
 * The namespace is larderpp because `larder` is the handle's type in larder.h, and a name is one thing only.
 *
 * Not here: what the calls do. larder.h says it, with what blocks and which statuses come back. */
#ifndef LARDER_HPP
#define LARDER_HPP

#include "larder.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace larderpp {

/* ---- errors ------------------------------------------------------------------------------------- */

/* A status that is a failure, or an expected outcome where the function has no other way to say it. */
class error : public std::exception {
public:
    explicit error(const larder_error &err) : err_(err) {
        text_ = std::string(larder_status_name(err.status)) + ": " + err.message;
    }
    larder_status status() const noexcept { return err_.status; }
    int os_errno() const noexcept { return err_.os_errno; }
    std::uint64_t offset() const noexcept { return err_.offset; }
    const char *message() const noexcept { return err_.message; }
    /* How many records verify() found damaged; 0 from every other call. */
    std::uint64_t bad_records() const noexcept { return bad_records_; }
    const char *what() const noexcept override { return text_.c_str(); }

private:
    friend class store;
    larder_error err_;
    std::uint64_t bad_records_ = 0;
    std::string text_;
};

namespace detail {

/* Throws unless the status is LARDER_OK. */
inline void check(larder_status status, const larder_error &err) {
    if (status != LARDER_OK) throw error(err);
}

/* True on LARDER_OK, false on `expected`, else throws. */
inline bool check_unless(larder_status expected, larder_status status, const larder_error &err) {
    if (status == expected) return false;
    check(status, err);
    return true;
}

/* Integers in packed buffers are little-endian on every machine; entries begin at multiples of 8. */
inline void append(std::string &to, std::uint64_t value, int len) {
    for (int i = 0; i < len; i++) to.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

inline std::uint64_t decode(const char *at, int len) {
    std::uint64_t value = 0;
    for (int i = len; i-- > 0;) value = value << 8 | static_cast<unsigned char>(at[i]);
    return value;
}

inline std::size_t padded(std::size_t len) {
    return (len + 7) & ~static_cast<std::size_t>(7);
}

inline void pad(std::string &to) {
    to.append(padded(to.size()) - to.size(), '\0');
}

} // namespace detail

/* ---- opening ------------------------------------------------------------------------------------ */

/* Options by name; larder_options_set lists them. set() throws at an unknown name or a malformed value. */
class options {
public:
    options() : options_(larder_options_new()) {
        if (options_ == nullptr) throw std::bad_alloc();
    }
    options(options &&other) noexcept : options_(std::exchange(other.options_, nullptr)) {}
    options &operator=(options &&other) noexcept {
        std::swap(options_, other.options_);
        return *this;
    }
    ~options() { larder_options_free(options_); }

    options &set(const char *name, const char *value) & {
        larder_error err;
        detail::check(larder_options_set(options_, name, value, &err), err);
        return *this;
    }
    options &&set(const char *name, const char *value) && { return std::move(set(name, value)); }
    const larder_options *get() const noexcept { return options_; }

private:
    larder_options *options_;
};

/* ---- what a store hands out --------------------------------------------------------------------- */

/* A value in place: no copy, readable through overwrite, delete, compaction and close of the store, until this object
 * ends. What it pins cannot be reclaimed until then. */
class view {
public:
    view() noexcept : view_() {}
    explicit view(const larder_view &owned) noexcept : view_(owned) {}
    view(view &&other) noexcept : view_(std::exchange(other.view_, larder_view())) {}
    view &operator=(view &&other) noexcept {
        std::swap(view_, other.view_);
        return *this;
    }
    ~view() { larder_view_release(&view_); }

    std::string_view bytes() const noexcept { return {static_cast<const char *>(view_.data), view_.len}; }
    operator std::string_view() const noexcept { return bytes(); }
    const char *data() const noexcept { return static_cast<const char *>(view_.data); }
    std::size_t size() const noexcept { return view_.len; }
    std::uint64_t version() const noexcept { return view_.version; }
    std::int64_t expires_at_ms() const noexcept { return view_.expires_at_ms; }
    void release() noexcept { larder_view_release(&view_); }

private:
    larder_view view_;
};

/* A walk over all live keys that begin with a prefix, in no order. What it hands out is borrowed until the next step. */
class cursor {
public:
    using pair = std::pair<std::string_view, std::string_view>;

    explicit cursor(larder_cursor *owned) noexcept : cursor_(owned) {}
    cursor(cursor &&other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)), pair_(other.pair_) {}
    cursor &operator=(cursor &&other) noexcept {
        std::swap(cursor_, other.cursor_);
        std::swap(pair_, other.pair_);
        return *this;
    }
    ~cursor() { larder_cursor_close(cursor_); }

    /* Steps to the next key; false at the end, and from then on. */
    bool next() {
        larder_error err;
        return detail::check_unless(LARDER_DONE, try_next(&err), err);
    }
    larder_status try_next(larder_error *err = nullptr) noexcept {
        const void *key = nullptr, *value = nullptr;
        std::size_t key_len = 0, value_len = 0;
        const larder_status status = larder_cursor_next(cursor_, &key, &key_len, &value, &value_len, err);
        pair_ = {{static_cast<const char *>(key), key_len}, {static_cast<const char *>(value), value_len}};
        return status;
    }
    std::string_view key() const noexcept { return pair_.first; }
    std::string_view value() const noexcept { return pair_.second; }

    /* For `for (auto [key, value] : ...)`: one pass, and no second begin(). */
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = pair;
        using difference_type = std::ptrdiff_t;
        using pointer = const pair *;
        using reference = const pair &;

        iterator() noexcept = default;
        explicit iterator(cursor *of) : of_(of) { ++*this; }
        reference operator*() const noexcept { return of_->pair_; }
        pointer operator->() const noexcept { return &of_->pair_; }
        iterator &operator++() {
            if (!of_->next()) of_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.of_ == b.of_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.of_ != b.of_; }

    private:
        cursor *of_ = nullptr;
    };
    iterator begin() { return iterator(this); }
    iterator end() const noexcept { return iterator(); }

private:
    larder_cursor *cursor_;
    pair pair_;
};

/* How set() sets. */
struct how {
    /* 0: no expiry. keep_ttl: the one that the key has. */
    std::chrono::milliseconds ttl{0};
    bool if_absent = false;
    bool if_present = false;
    /* Durable when the call returns, whatever the store's sync mode. */
    bool sync = false;
};

inline constexpr std::chrono::milliseconds keep_ttl{-1};
/* What ttl() returns, and expire() takes, for a key that lives for ever. */
inline constexpr std::chrono::milliseconds no_expiry{-1};

/* Sets and deletes that happen together: all of them or none, for readers and after any crash. */
class batch {
public:
    batch &set(std::string_view key, std::string_view value, std::chrono::milliseconds ttl = std::chrono::milliseconds(0)) {
        return add(1, key, value, ttl.count());
    }
    batch &erase(std::string_view key) { return add(2, key, {}, 0); }
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    void clear() noexcept {
        ops_.clear();
        count_ = 0;
    }
    /* The packed form that larder_write_packed takes. */
    std::string_view packed() const noexcept { return ops_; }

private:
    batch &add(std::uint32_t op, std::string_view key, std::string_view value, std::int64_t ttl_ms) {
        /* A longer key does not fit into the form; the library refuses every one over 65535 by its length field. */
        const std::uint64_t key_len = key.size() < UINT32_MAX ? key.size() : UINT32_MAX;
        detail::append(ops_, op, 4);
        detail::append(ops_, key_len, 4);
        detail::append(ops_, value.size(), 8);
        detail::append(ops_, static_cast<std::uint64_t>(ttl_ms), 8);
        ops_.append(key).append(value);
        detail::pad(ops_);
        count_++;
        return *this;
    }

    std::string ops_;
    std::size_t count_ = 0;
};

/* ---- the store ---------------------------------------------------------------------------------- */

/* An open store. Closed by close(), which says what the last sync met, or by its end, which has nobody to tell. */
class store {
public:
    explicit store(const std::string &location) { open(location, nullptr); }
    store(const std::string &location, const options &with) { open(location, with.get()); }
    store(store &&other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
    store &operator=(store &&other) noexcept {
        std::swap(db_, other.db_);
        return *this;
    }
    ~store() { (void)larder_close(db_, nullptr); }

    /* Closes the store whatever happens. Calls on it throw LARDER_CLOSED from then on; a second close does too. */
    void close() {
        larder_error err;
        detail::check(larder_close(db_, &err), err);
    }
    /* The handle, for what this header does not wrap. Still the store's. */
    larder *get() const noexcept { return db_; }

    /* One key. */

    void set(std::string_view key, std::string_view value) {
        larder_error err;
        detail::check(try_set(key, value, &err), err);
    }
    larder_status try_set(std::string_view key, std::string_view value, larder_error *err = nullptr) noexcept {
        return larder_set(db_, key.data(), key.size(), value.data(), value.size(), err);
    }

    /* The new version, which grows with every change of the store; empty if the condition in `as` did not hold. */
    std::optional<std::uint64_t> set(std::string_view key, std::string_view value, const how &as) {
        larder_error err;
        std::uint64_t version = 0;
        const larder_status status = try_set(key, value, as, &version, &err);
        if (status == LARDER_EXISTS || status == LARDER_NOT_FOUND) return std::nullopt;
        detail::check(status, err);
        return version;
    }
    larder_status try_set(std::string_view key, std::string_view value, const how &as, std::uint64_t *version = nullptr,
                          larder_error *err = nullptr) noexcept {
        const std::uint32_t flags = (as.if_absent ? static_cast<std::uint32_t>(LARDER_IF_ABSENT) : 0) |
                                    (as.if_present ? static_cast<std::uint32_t>(LARDER_IF_PRESENT) : 0) |
                                    (as.sync ? static_cast<std::uint32_t>(LARDER_SYNC) : 0);
        return larder_set_with(db_, key.data(), key.size(), value.data(), value.size(), as.ttl.count(), flags, version, err);
    }

    /* A copy of the value; empty if there is no such live key. */
    std::optional<std::string> get(std::string_view key) const {
        larder_error err;
        void *value = nullptr;
        std::size_t len = 0;
        if (!detail::check_unless(LARDER_NOT_FOUND, larder_get(db_, key.data(), key.size(), &value, &len, &err), err))
            return std::nullopt;
        /* Frees also when the string cannot be allocated. */
        const struct owner {
            void *buffer;
            ~owner() { larder_free(buffer); }
        } owned{value};
        return std::string(static_cast<const char *>(value), len);
    }

    /* The value's length, its bytes in `buffer` if that is large enough and untouched if not. */
    std::optional<std::size_t> get_into(std::string_view key, void *buffer, std::size_t capacity) const {
        larder_error err;
        std::size_t need = 0;
        const larder_status status = try_get_into(key, buffer, capacity, need, &err);
        if (status == LARDER_BUFFER_TOO_SMALL) return need;
        if (!detail::check_unless(LARDER_NOT_FOUND, status, err)) return std::nullopt;
        return need;
    }
    larder_status try_get_into(std::string_view key, void *buffer, std::size_t capacity, std::size_t &need,
                               larder_error *err = nullptr) const noexcept {
        return larder_get_into(db_, key.data(), key.size(), buffer, capacity, &need, err);
    }

    /* The value in place; empty if there is no such live key. */
    std::optional<larderpp::view> view(std::string_view key) const {
        larder_error err;
        larder_view found;
        if (!detail::check_unless(LARDER_NOT_FOUND, larder_get_view(db_, key.data(), key.size(), &found, &err), err))
            return std::nullopt;
        return larderpp::view(found);
    }

    bool contains(std::string_view key) const {
        larder_error err;
        return detail::check_unless(LARDER_NOT_FOUND, try_contains(key, &err), err);
    }
    larder_status try_contains(std::string_view key, larder_error *err = nullptr) const noexcept {
        return larder_exists(db_, key.data(), key.size(), err);
    }

    /* Whether there was something to erase. */
    bool erase(std::string_view key) {
        larder_error err;
        return detail::check_unless(LARDER_NOT_FOUND, try_erase(key, &err), err);
    }
    larder_status try_erase(std::string_view key, larder_error *err = nullptr) noexcept {
        return larder_del(db_, key.data(), key.size(), err);
    }

    /* What the key has left, no_expiry for ever; empty if it is not live. try_ttl tells LARDER_EXPIRED apart. */
    std::optional<std::chrono::milliseconds> ttl(std::string_view key) const {
        larder_error err;
        std::chrono::milliseconds left{};
        const larder_status status = try_ttl(key, left, &err);
        if (status == LARDER_EXPIRED || status == LARDER_NOT_FOUND) return std::nullopt;
        detail::check(status, err);
        return left;
    }
    larder_status try_ttl(std::string_view key, std::chrono::milliseconds &left, larder_error *err = nullptr) const noexcept {
        std::int64_t ttl_ms = 0;
        const larder_status status = larder_ttl(db_, key.data(), key.size(), &ttl_ms, err);
        if (status == LARDER_OK) left = std::chrono::milliseconds(ttl_ms);
        return status;
    }

    /* Gives a live key a new time to live: 0 is over at once, no_expiry for ever. False if it is not live. */
    bool expire(std::string_view key, std::chrono::milliseconds ttl) {
        larder_error err;
        return detail::check_unless(LARDER_NOT_FOUND, larder_expire(db_, key.data(), key.size(), ttl.count(), &err), err);
    }

    /* Many keys. */

    /* The values in the keys' order, empty where a key is not live. Not a snapshot. */
    std::vector<std::optional<std::string>> get_many(const std::vector<std::string_view> &keys) const {
        std::string packed;
        for (const std::string_view key : keys) {
            detail::append(packed, key.size() < UINT32_MAX ? key.size() : UINT32_MAX, 4);
            packed.append(key);
            detail::pad(packed);
        }
        std::vector<std::optional<std::string>> values;
        values.reserve(keys.size());
        std::string out(64 * keys.size() + 64, '\0');
        std::string_view rest = packed;
        for (;;) {
            larder_error err;
            std::size_t used = 0, answered = 0;
            const larder_status status =
                larder_get_many_packed(db_, rest.data(), rest.size(), out.data(), out.size(), &used, &answered, &err);
            if (status != LARDER_BUFFER_TOO_SMALL) detail::check(status, err);
            const char *at = out.data();
            for (; answered > 0; answered--) {
                at += take_answer(at, keys[values.size()], values);
                rest.remove_prefix(detail::padded(4 + detail::decode(rest.data(), 4)));
            }
            if (status == LARDER_OK) return values;
            out.resize(out.size() * 2);
        }
    }

    /* Carries the batch out and empties it. On a failure nothing was changed, and the batch is as it was. */
    void write(batch &ops, bool sync = false) {
        larder_error err;
        detail::check(try_write(ops.packed(), sync, nullptr, &err), err);
        ops.clear();
    }
    larder_status try_write(std::string_view packed, bool sync = false, std::size_t *bad_offset = nullptr,
                            larder_error *err = nullptr) noexcept {
        return larder_write_packed(db_, packed.data(), packed.size(), sync ? LARDER_SYNC : 0, bad_offset, err);
    }

    cursor scan(std::string_view prefix = {}) const {
        larder_error err;
        larder_cursor *opened = nullptr;
        detail::check(larder_cursor_open(db_, prefix.data(), prefix.size(), &opened, &err), err);
        return cursor(opened);
    }

    /* The whole store. */

    std::uint64_t size() const {
        larder_error err;
        std::uint64_t count = 0;
        detail::check(larder_len(db_, &count, &err), err);
        return count;
    }
    void sync() {
        larder_error err;
        detail::check(larder_sync(db_, &err), err);
    }
    void compact() {
        larder_error err;
        detail::check(larder_compact(db_, &err), err);
    }
    /* Throws LARDER_CORRUPT at damage; its bad_records() says how many records. */
    void verify() const {
        larder_error err;
        std::uint64_t bad_records = 0;
        if (larder_verify(db_, &bad_records, &err) == LARDER_OK) return;
        error failure(err);
        failure.bad_records_ = bad_records;
        throw failure;
    }
    larder_stats stats() const {
        larder_error err;
        larder_stats found{};
        found.struct_size = sizeof found;
        detail::check(larder_stats_get(db_, &found, &err), err);
        return found;
    }

private:
    void open(const std::string &location, const larder_options *with) {
        larder_error err;
        if (location.find('\0') != std::string::npos) {
            /* It would be cut there without a word. */
            err = larder_error{LARDER_INVALID_ARGUMENT, 0, 0, "location has a NUL inside"};
            throw error(err);
        }
        detail::check(larder_open(location.c_str(), with, &db_, &err), err);
    }

    /* The length of the answer at `at`, whose value is appended. An answer has a status and no message: reading the
     * key alone gives one. */
    std::size_t take_answer(const char *at, std::string_view key, std::vector<std::optional<std::string>> &values) const {
        const auto status = static_cast<larder_status>(detail::decode(at, 4));
        const std::size_t len = detail::decode(at + 8, 8);
        if (status == LARDER_OK) values.emplace_back(std::in_place, at + 16, len);
        else if (status == LARDER_NOT_FOUND) values.emplace_back(std::nullopt);
        else values.push_back(get(key));
        return detail::padded(16 + len);
    }

    larder *db_ = nullptr;
};

/* ---- a damaged store ---------------------------------------------------------------------------- */

/* What salvage() did. losses is text, one line for each damaged place; larder_salvage says what stands in it. */
struct salvaged {
    larder_salvage_report report;
    std::string losses;
};

/* Writes what is intact in the store in `source` into a new store in `target`, which must be missing or empty. */
inline salvaged salvage(const std::string &source, const std::string &target, const larder_options *with = nullptr) {
    larder_error err;
    salvaged done{};
    done.report.struct_size = sizeof done.report;
    if (source.find('\0') != std::string::npos || target.find('\0') != std::string::npos) {
        /* It would be cut there without a word. */
        err = larder_error{LARDER_INVALID_ARGUMENT, 0, 0, "a directory's name has a NUL inside"};
        throw error(err);
    }
    struct owner {
        void *buffer = nullptr;
        ~owner() { larder_free(buffer); }
    } losses;
    std::size_t len = 0;
    detail::check(larder_salvage(source.c_str(), target.c_str(), with, &done.report, &losses.buffer, &len, &err), err);
    done.losses.assign(static_cast<const char *>(losses.buffer), len);
    return done;
}

/* ---- about the library -------------------------------------------------------------------------- */

inline std::string_view version() noexcept {
    return larder_version_string();
}
inline std::uint32_t version_number() noexcept {
    return larder_version_number();
}
inline std::uint32_t abi_version() noexcept {
    return larder_abi_version();
}
inline std::string_view status_name(larder_status status) noexcept {
    return larder_status_name(status);
}

} // namespace larderpp

#endif /* LARDER_HPP */
