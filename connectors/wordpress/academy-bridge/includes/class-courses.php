<?php
/**
 * "My courses" in the customer's account.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * A tab that shows what the bridge says of the customer's courses, and never keeps the page waiting for it.
 */
final class Courses {

	const ENDPOINT = 'my-courses';
	const FLUSHED  = 'academy_bridge_flushed';
	const SECONDS  = 2;

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_filter( 'woocommerce_get_query_vars', array( self::class, 'add_query_var' ) );
		add_filter( 'woocommerce_account_menu_items', array( self::class, 'add_menu_item' ) );
		add_filter( 'woocommerce_endpoint_' . self::ENDPOINT . '_title', array( self::class, 'title' ) );
		add_action( 'woocommerce_account_' . self::ENDPOINT . '_endpoint', array( self::class, 'show' ) );
		add_action( 'wp_loaded', array( self::class, 'flush_once' ) );
	}

	/**
	 * Have the rewrite rules made anew by the next request, when the tab's address is among them.
	 */
	public static function flush_later(): void {
		delete_option( self::FLUSHED );
	}

	/**
	 * Make the rewrite rules anew, once after each change of what they hold.
	 */
	public static function flush_once(): void {
		$state = VERSION . ( Settings::shows( 'courses' ) ? ' on' : ' off' );
		if ( get_option( self::FLUSHED ) !== $state ) {
			update_option( self::FLUSHED, $state );
			flush_rewrite_rules( false );
		}
	}

	/**
	 * The tab's place in addresses.
	 *
	 * @param array<string,string> $vars WooCommerce's.
	 * @return array<string,string>
	 */
	public static function add_query_var( $vars ) {
		return Settings::shows( 'courses' ) ? $vars + array( self::ENDPOINT => self::ENDPOINT ) : $vars;
	}

	/**
	 * The tab, after the first.
	 *
	 * @param array<string,string> $items The account's tabs.
	 * @return array<string,string>
	 */
	public static function add_menu_item( $items ) {
		if ( ! Settings::shows( 'courses' ) ) {
			return $items;
		}
		return array_slice( $items, 0, 1, true ) + array( self::ENDPOINT => self::title() ) + $items;
	}

	/**
	 * The tab's title.
	 */
	public static function title(): string {
		return __( 'My courses', 'academy-bridge' );
	}

	/**
	 * The tab.
	 */
	public static function show(): void {
		wp_enqueue_style( 'academy-bridge' );
		$told    = self::of( get_current_user_id() );
		$courses = $told['courses'];
		if ( null === $courses ) {
			echo '<p>' . esc_html__( 'The learning site can\'t be asked about your courses right now. Your courses are still there, and you can open them:', 'academy-bridge' ) . '</p>';
		} elseif ( ! $courses && $told['teams'] > 0 ) {
			echo '<p>' . esc_html__( 'You have no courses of your own yet. The places that you bought for others are given to them on the page of your team.', 'academy-bridge' ) . '</p>';
		} elseif ( ! $courses ) {
			echo '<p>' . esc_html__( 'You have no courses yet. What you have just bought is here within a few minutes.', 'academy-bridge' ) . '</p>';
		} else {
			echo '<ul class="academy-bridge-courses">' . implode( '', array_map( array( self::class, 'course' ), $courses ) ) . '</ul>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped by course().
		}
		$links = Places::link( Launch::url( 'courses' ), __( 'Open the learning site', 'academy-bridge' ) );
		if ( $told['teams'] > 0 ) {
			$links .= ' ' . Places::link( Launch::url( 'team' ), __( 'My team', 'academy-bridge' ) );
		}
		echo '<p class="academy-bridge">' . $links . '</p>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped by link().
	}

	/**
	 * A customer's courses, or null while the bridge does not tell, and how many teams they help manage. A "no" is
	 * remembered too, for a little while, so that a bridge that hangs is not waited for with every click.
	 *
	 * @param int $customer The user.
	 * @return array{courses:array<int,array<string,mixed>>|null,teams:int}
	 */
	private static function of( int $customer ): array {
		$key  = 'academy_bridge_courses_' . $customer;
		$kept = get_transient( $key );
		if ( is_array( $kept ) && isset( $kept['teams'] ) ) {
			return $kept;
		}
		$answer  = Bridge::ask( '/api/v1/customers/' . $customer . '/courses', $customer, self::SECONDS );
		$json    = ! is_wp_error( $answer ) && 200 === wp_remote_retrieve_response_code( $answer ) ? Bridge::json( $answer ) : null;
		$courses = null === $json ? null : self::read( $json, $customer );
		$teams   = null !== $courses && is_int( $json['teams'] ?? null ) ? max( 0, $json['teams'] ) : 0;
		$told    = array(
			'courses' => $courses,
			'teams'   => $teams,
		);
		set_transient( $key, $told, null === $courses ? 15 : MINUTE_IN_SECONDS );
		return $told;
	}

	/**
	 * The courses in the bridge's answer. Null if it is another customer's or no answer at all; an entry that makes no
	 * sense is left out.
	 *
	 * @param array<string,mixed> $json     The answer.
	 * @param int                 $customer Who was asked about.
	 * @return array<int,array<string,mixed>>|null
	 */
	public static function read( array $json, int $customer ): ?array {
		if ( ( $json['customer'] ?? null ) !== $customer || ! is_array( $json['courses'] ?? null ) ) {
			return null;
		}
		$courses = array();
		foreach ( $json['courses'] as $one ) {
			$right = is_array( $one ) && is_string( $one['name'] ?? null ) && in_array( $one['state'] ?? null, array( 'ready', 'waiting', 'ended' ), true );
			if ( $right ) {
				$courses[] = array(
					'name'        => $one['name'],
					'sold_as'     => self::text( $one, 'sold_as' ),
					'state'       => $one['state'],
					'reason'      => self::text( $one, 'reason' ),
					'target'      => Target::is_valid( self::text( $one, 'target' ) ) ? $one['target'] : '',
					'until'       => (int) strtotime( self::text( $one, 'until' ) ),
					'progress'    => is_numeric( $one['progress'] ?? null ) ? max( 0, min( 100, (int) $one['progress'] ) ) : null,
					'completed'   => true === ( $one['completed'] ?? null ),
					'certificate' => preg_match( '~\Ahttps?://~', self::text( $one, 'certificate' ) ) ? $one['certificate'] : '',
				);
			}
		}
		return $courses;
	}

	/**
	 * A text of the answer, or "".
	 *
	 * @param array<string,mixed> $entry A course.
	 * @param string              $name  The text's name.
	 */
	private static function text( array $entry, string $name ): string {
		return is_string( $entry[ $name ] ?? null ) ? $entry[ $name ] : '';
	}

	/**
	 * One course as HTML.
	 *
	 * @param array<string,mixed> $course From read().
	 */
	private static function course( array $course ): string {
		$html = '<li class="academy-bridge-course is-' . esc_attr( $course['state'] ) . '"><h3>' . esc_html( $course['name'] ) . '</h3>';
		if ( '' !== ( $course['sold_as'] ?? '' ) ) {
			$html .= '<p>' . esc_html( $course['sold_as'] ) . '</p>';
		}
		foreach ( self::sentences( $course ) as $sentence ) {
			$html .= '<p>' . esc_html( $sentence ) . '</p>';
		}
		if ( null !== $course['progress'] && ! $course['completed'] ) {
			/* translators: %d: percent. */
			$said  = sprintf( __( '%d %% done', 'academy-bridge' ), $course['progress'] );
			$html .= '<p><progress max="100" value="' . esc_attr( (string) $course['progress'] ) . '" aria-label="' . esc_attr( $said ) . '"></progress> ' . esc_html( $said ) . '</p>';
		}
		$links = array();
		if ( 'ready' === $course['state'] && '' !== $course['target'] ) {
			$links[] = Places::link( Launch::url( $course['target'] ), self::call( $course ) );
		}
		if ( '' !== $course['certificate'] ) {
			$links[] = '<a class="academy-bridge-certificate" rel="noopener noreferrer" href="' . esc_url( $course['certificate'], array( 'https', 'http' ) ) . '">' . esc_html__( 'Certificate', 'academy-bridge' ) . '</a>';
		}
		return $html . ( $links ? '<p>' . implode( ' ', $links ) . '</p>' : '' ) . '</li>';
	}

	/**
	 * How a course stands, in words. Access ends with a moment, often midnight: the day told is the last with access.
	 *
	 * @param array<string,mixed> $course From read().
	 * @return string[]
	 */
	private static function sentences( array $course ): array {
		$day  = $course['until'] ? (string) wp_date( (string) get_option( 'date_format' ), $course['until'] - 1 ) : '';
		$said = array();
		if ( 'waiting' === $course['state'] && '' === $course['reason'] ) {
			$said[] = __( 'Being prepared for you.', 'academy-bridge' );
		} elseif ( 'ended' === $course['state'] ) {
			/* translators: %s: a day. */
			$said[] = '' !== $day ? sprintf( __( 'Your access ended on %s.', 'academy-bridge' ), $day ) : __( 'Your access has ended.', 'academy-bridge' );
		} elseif ( '' !== $day ) {
			/* translators: %s: a day. */
			$said[] = sprintf( __( 'Yours until %s.', 'academy-bridge' ), $day );
		}
		if ( '' !== $course['reason'] && 'ready' !== $course['state'] ) {
			$said[] = $course['reason'];
		}
		if ( $course['completed'] ) {
			$said[] = __( 'Completed.', 'academy-bridge' );
		}
		return $said;
	}

	/**
	 * What the course's button says.
	 *
	 * @param array<string,mixed> $course From read().
	 */
	private static function call( array $course ): string {
		if ( $course['completed'] ) {
			return __( 'Open the course', 'academy-bridge' );
		}
		return $course['progress'] ? __( 'Go on learning', 'academy-bridge' ) : __( 'Start learning', 'academy-bridge' );
	}
}
