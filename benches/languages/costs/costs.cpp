/* costs.cpp: the border of C++, as its programs read: strings come out of get(), vectors out of get_many(). See costs.h. */
#include "costs.h"
#include "larder.hpp"

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const std::uint64_t count = std::strtoull(argv[1], nullptr, 10) / GROUP * GROUP;
    const std::string value(VALUE_LEN, '\0');
    std::vector<std::string> keys(count, std::string(KEY_LEN, '0'));
    for (std::uint64_t n = 0; n < count; n++) costs_key(keys[n].data(), n);
    double best[3] = {0, 0, 0};
    larderpp::store db(argv[2], larderpp::options().set("sync", "none"));
    for (int round = 0; round < ROUNDS; round++) {
        larderpp::batch batch;
        double start = costs_now();
        for (std::uint64_t n = 0; n < count; n++) {
            batch.set(keys[n], value);
            if (n % GROUP == GROUP - 1) db.write(batch);
        }
        costs_best(&best[2], start, count);
        start = costs_now();
        for (std::uint64_t n = 0; n < count; n++)
            if (db.get(keys[costs_shuffled(n, count)])->size() != VALUE_LEN) return 1;
        costs_best(&best[0], start, count);
        std::vector<std::string_view> asked;
        start = costs_now();
        for (std::uint64_t n = 0; n < count; n++) {
            asked.push_back(keys[costs_shuffled(n, count)]);
            if (n % GROUP == GROUP - 1) {
                for (const auto &found : db.get_many(asked))
                    if (found->size() != VALUE_LEN) return 1;
                asked.clear();
            }
        }
        costs_best(&best[1], start, count);
    }
    std::printf("C++ %.0f %.0f %.0f\n", best[0], best[1], best[2]);
    return 0;
}
