<?php
// SPDX-License-Identifier: GPL-3.0-or-later

$table = json_decode(file_get_contents(__DIR__ . '/who_gets_in.json'), true, 8, JSON_THROW_ON_ERROR);

$tests = [];
foreach ($table['cases'] as $case) {
    $tests[$case['is']] = static function () use ($case, $table): void {
        (new one_case(site::fresh(), $case))->play($table['unnamed']);
    };
}
return $tests;
