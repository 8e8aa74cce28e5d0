<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's database in small, over SQLite: as much of it as the plugin calls. Everything it gives is text, as of Totara's
 * own drivers.
 */

const SQL_PARAMS_NAMED = 1;
const MUST_EXIST = 2;

class moodle_exception extends \Exception {
}

class dml_exception extends moodle_exception {
}

final class moodle_database {
    /** @var \PDO */
    private $pdo;

    public function __construct(string $file) {
        $this->pdo = new \PDO("sqlite:$file", null, null, [
            \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION,
            \PDO::ATTR_STRINGIFY_FETCHES => true,
            // Seconds to wait for one another: many processes write at once in some tests.
            \PDO::ATTR_TIMEOUT => 120,
        ]);
        // What is written need not outlive the machine.
        $this->pdo->exec('PRAGMA synchronous = OFF');
    }

    public function get_record(string $table, array $conditions) {
        $found = $this->get_records($table, $conditions);
        if (count($found) > 1) {
            throw new dml_exception("more than one record of $table");
        }
        return $found ? $found[0] : false;
    }

    /** @return \stdClass[] */
    public function get_records(string $table, array $conditions = []): array {
        return $this->run("SELECT * FROM {{$table}}" . self::where($conditions), $conditions)->fetchAll(\PDO::FETCH_OBJ);
    }

    public function get_field(string $table, string $field, array $conditions, int $strictness = 0) {
        $record = $this->get_record($table, $conditions);
        if (!$record && $strictness === MUST_EXIST) {
            throw new dml_exception("no such record of $table");
        }
        return $record ? $record->$field : false;
    }

    public function record_exists(string $table, array $conditions): bool {
        return (bool) $this->get_records($table, $conditions);
    }

    public function record_exists_sql(string $sql, array $parameters): bool {
        return $this->run($sql, $parameters)->fetch() !== false;
    }

    public function insert_record(string $table, \stdClass $record): int {
        $values = (array) $record;
        $names = implode(', ', array_keys($values));
        $this->run("INSERT INTO {{$table}} ($names) VALUES (:" . implode(', :', array_keys($values)) . ')', $values);
        return (int) $this->pdo->lastInsertId();
    }

    public function set_field(string $table, string $field, $value, array $conditions): void {
        $this->run("UPDATE {{$table}} SET $field = :new_value" . self::where($conditions), ['new_value' => $value] + $conditions);
    }

    public function delete_records(string $table, array $conditions = []): void {
        $this->run("DELETE FROM {{$table}}" . self::where($conditions), $conditions);
    }

    public function delete_records_select(string $table, string $select, array $parameters): void {
        $this->run("DELETE FROM {{$table}} WHERE $select", $parameters);
    }

    /** A condition that one of these values fulfils, and its parameters. */
    public function get_in_or_equal(array $items, int $type): array {
        if (!$items || $type !== SQL_PARAMS_NAMED) {
            throw new dml_exception('Totara wants values here, and the plugin names its parameters');
        }
        $parameters = [];
        foreach (array_values($items) as $number => $item) {
            $parameters["param$number"] = $item;
        }
        return ['IN (:' . implode(', :', array_keys($parameters)) . ')', $parameters];
    }

    /** Do many things as one. */
    public function together(callable $job): void {
        $this->pdo->beginTransaction();
        $job();
        $this->pdo->commit();
    }

    /** Run any SQL; the names of tables stand in braces. */
    public function run(string $sql, array $parameters = []): \PDOStatement {
        try {
            $statement = $this->pdo->prepare(preg_replace('/\{(\w+)\}/', '$1', $sql));
            $statement->execute($parameters);
        } catch (\PDOException $exception) {
            throw new dml_exception($exception->getMessage(), 0, $exception);
        }
        return $statement;
    }

    private static function where(array $conditions): string {
        $each = array_map(static function (string $name): string {
            return "$name = :$name";
        }, array_keys($conditions));
        return $each ? ' WHERE ' . implode(' AND ', $each) : '';
    }
}
