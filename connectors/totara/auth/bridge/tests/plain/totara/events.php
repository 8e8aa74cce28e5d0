<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's events, which go to a table of the test site, and the parents of tasks.
 */

namespace {
    class coding_exception extends moodle_exception {
    }

    /** Writes down what happened, as Totara's log does. */
    function note_in_log(string $what, array $data = []): void {
        global $DB;
        $DB->insert_record('log', (object) ['event' => $what, 'data' => json_encode($data)]);
    }
}

namespace core\event {
    abstract class base {
        public const LEVEL_OTHER = 0;

        protected $data = [];
        protected $context;

        abstract protected function init();

        final public static function create(array $data): self {
            $event = new static();
            $event->init();
            $event->data += $data;
            $event->validate_data();
            return $event;
        }

        protected function validate_data() {
            if (!isset($this->context, $this->data['crud'], $this->data['edulevel'])) {
                throw new \coding_exception('an event has a context, a kind and a level');
            }
        }

        public function __get(string $name) {
            return $this->data[$name] ?? null;
        }

        public function trigger(): void {
            \note_in_log(static::class, [
                'about' => (int) $this->relateduserid,
                'reason' => $this->other['reason'] ?? '',
                'says' => $this->get_description(),
            ]);
        }
    }
}

namespace core\task {
    abstract class scheduled_task {
        abstract public function get_name();

        abstract public function execute();
    }
}
