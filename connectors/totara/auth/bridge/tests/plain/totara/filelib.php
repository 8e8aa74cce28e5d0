<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/** Asks for real, and writes down with what options. Of those, it keeps to the ones that a plain stream can. */
final class curl {
    private $status = 0;
    private $failed = true;

    public function get(string $address, array $parameters, array $options): string {
        note_in_log('curl', ['address' => $address, 'options' => $options]);
        $http = ['ignore_errors' => true, 'follow_location' => $options['CURLOPT_FOLLOWLOCATION'], 'timeout' => $options['CURLOPT_TIMEOUT']];
        try {
            $stream = fopen($address, 'r', false, stream_context_create(['http' => $http]));
        } catch (\ErrorException $exception) {
            return '';
        }
        $this->failed = false;
        $this->status = (int) explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
        return stream_get_contents($stream);
    }

    public function get_info(): array {
        return ['http_code' => $this->status];
    }

    public function get_errno(): int {
        return $this->failed ? 7 : 0;
    }
}
