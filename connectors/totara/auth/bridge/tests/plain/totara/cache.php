<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's cache and locks in small.
 */

namespace {
    /** Kept in the database of the test site. */
    final class cache {
        private $prefix;

        public static function make(string $component, string $area): self {
            $cache = new self();
            $cache->prefix = "$component/$area/";
            return $cache;
        }

        public function get(string $key) {
            global $DB;
            $kept = $DB->get_field('cache', 'value', ['name' => $this->prefix . $key]);
            return $kept === false ? false : json_decode($kept, true);
        }

        public function set(string $key, array $value): void {
            global $DB;
            $DB->delete_records('cache', ['name' => $this->prefix . $key]);
            $DB->insert_record('cache', (object) ['name' => $this->prefix . $key, 'value' => json_encode($value)]);
        }
    }
}

namespace core\lock {
    final class lock_config {
        public static function get_lock_factory(string $type): self {
            return new self();
        }

        public function get_lock(string $resource, int $timeout): lock {
            return new lock(SITE . "/$resource.lock");
        }
    }

    final class lock {
        private $file;

        public function __construct(string $path) {
            $this->file = fopen($path, 'c');
            flock($this->file, LOCK_EX);
        }

        public function release(): void {
            flock($this->file, LOCK_UN);
            \note_in_log('lock released');
        }
    }
}
