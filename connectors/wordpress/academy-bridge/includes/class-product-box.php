<?php
/**
 * What a product gives: set on its edit page, told on its own.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Product;
use WP_Post;

defined( 'ABSPATH' ) || exit;

/**
 * The product's fields "bridge_…", which the bridge reads.
 */
final class Product_Box {

	const NONCE = 'academy_bridge_offer';

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'add_meta_boxes_product', array( self::class, 'add' ) );
		add_action( 'woocommerce_process_product_meta', array( self::class, 'save' ) );
		add_filter( 'is_protected_meta', array( self::class, 'not_twice' ), 10, 2 );
		add_action( 'woocommerce_before_add_to_cart_form', array( self::class, 'tell' ) );
	}

	/**
	 * Add the box to the product's edit page.
	 */
	public static function add(): void {
		add_meta_box( 'academy-bridge-offer', __( 'What it gives in the learning site', 'academy-bridge' ), array( self::class, 'edit' ), 'product', 'normal', 'default' );
	}

	/**
	 * The box.
	 *
	 * @param WP_Post $post The product.
	 */
	public static function edit( $post ): void {
		$product = wc_get_product( $post->ID );
		$values  = array();
		foreach ( Offer::FIELDS as $field ) {
			$values[ $field ] = (string) get_post_meta( $post->ID, $field, true );
		}
		$course = $product ? Offer::course_of_sku( (string) $product->get_sku() ) : 0;
		wp_nonce_field( self::NONCE, self::NONCE );
		if ( $course ) {
			/* translators: %d: a course's number. */
			echo '<p>' . esc_html( sprintf( __( 'By its SKU this product gives course %d, unless the first field says something else.', 'academy-bridge' ), $course ) ) . '</p>';
		}
		echo '<table class="form-table" role="presentation"><tbody>';
		self::row( 'bridge_gives', __( 'Gives', 'academy-bridge' ), __( 'Such as course:12, course:14, audience:5, program:7, or nothing. The numbers are the learning site\'s. Empty: by the SKU.', 'academy-bridge' ), self::input( 'bridge_gives', $values, 'text' ) );
		self::row( 'bridge_days', __( 'Days of access', 'academy-bridge' ), __( 'From the first enrolment, or from the first day where there is one. Empty: without end.', 'academy-bridge' ), self::input( 'bridge_days', $values, 'number', Offer::MOST_DAYS ) );
		self::row( 'bridge_starts', __( 'First day', 'academy-bridge' ), '', self::input( 'bridge_starts', $values, 'date' ) );
		self::row( 'bridge_until', __( 'Last day', 'academy-bridge' ), '', self::input( 'bridge_until', $values, 'date' ) );
		self::row( 'bridge_seats', __( 'Places per unit', 'academy-bridge' ), __( 'Empty: one.', 'academy-bridge' ), self::input( 'bridge_seats', $values, 'number', Offer::MOST_SEATS ) );
		self::row( 'bridge_for', __( 'For whom', 'academy-bridge' ), '', self::select( $values['bridge_for'] ) );
		echo '</tbody></table><p class="description">' . esc_html__( 'Orders that the bridge has seen already keep what they were sold with. Where the bridge\'s own file has an offer for this product, the file counts.', 'academy-bridge' ) . '</p>';
	}

	/**
	 * Save the box. What can't be read is not saved, and said.
	 *
	 * @param int $post_id The product.
	 */
	public static function save( $post_id ): void {
		$nonce = isset( $_POST[ self::NONCE ] ) && is_string( $_POST[ self::NONCE ] ) ? sanitize_key( $_POST[ self::NONCE ] ) : '';
		if ( ! wp_verify_nonce( $nonce, self::NONCE ) || ! current_user_can( 'edit_post', $post_id ) ) {
			return;
		}
		$posted = array();
		foreach ( Offer::FIELDS as $field ) {
			$posted[ $field ] = isset( $_POST[ $field ] ) && is_string( $_POST[ $field ] ) ? sanitize_text_field( wp_unslash( $_POST[ $field ] ) ) : '';
		}
		$fields = Offer::normal( $posted );
		$wrong  = Offer::wrong( $fields );
		if ( $wrong ) {
			/* translators: %s: names of fields. */
			\WC_Admin_Meta_Boxes::add_error( sprintf( __( 'What the product gives was not saved: %s can\'t be read.', 'academy-bridge' ), implode( ', ', $wrong ) ) );
			return;
		}
		foreach ( Offer::FIELDS as $field ) {
			if ( isset( $fields[ $field ] ) ) {
				update_post_meta( $post_id, $field, wp_slash( $fields[ $field ] ) );
			} else {
				delete_post_meta( $post_id, $field );
			}
		}
	}

	/**
	 * On the product's edit page these fields are in this box only: "Custom fields" would write old values over them.
	 *
	 * @param bool   $is_protected Whether the field is hidden there.
	 * @param string $key          The field.
	 */
	public static function not_twice( $is_protected, $key ) {
		return $is_protected || ( is_admin() && in_array( $key, Offer::FIELDS, true ) );
	}

	/**
	 * Tell on the product's page what it gives.
	 */
	public static function tell(): void {
		global $product;
		$lines = $product instanceof WC_Product && Settings::shows( 'gives' ) ? self::sentences( $product ) : array();
		if ( $lines ) {
			wp_enqueue_style( 'academy-bridge' );
			echo '<ul class="academy-bridge-gives"><li>' . implode( '</li><li>', array_map( 'esc_html', $lines ) ) . '</li></ul>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped here.
		}
	}

	/**
	 * What a product gives, in words; nothing if that is nothing or not known.
	 *
	 * @param WC_Product $product The product.
	 * @return string[]
	 */
	private static function sentences( WC_Product $product ): array {
		$items = Product::items( $product );
		if ( ! $items ) {
			return array();
		}
		$courses = count( preg_grep( '/\Acourse:/', $items ) );
		$days    = (int) Product::field( $product, 'bridge_days' );
		$starts  = Product::field( $product, 'bridge_starts' );
		$until   = Product::field( $product, 'bridge_until' );
		$seats   = (int) Product::field( $product, 'bridge_seats' );
		$lines   = array();
		if ( count( $items ) === $courses ) {
			/* translators: %d: number of courses. */
			$lines[] = sprintf( _n( '%d online course', '%d online courses', $courses, 'academy-bridge' ), $courses );
		} else {
			$lines[] = __( 'A programme of online courses', 'academy-bridge' );
		}
		if ( Offer::is_day( $starts ) ) {
			/* translators: %s: a day. */
			$lines[] = sprintf( __( 'Begins on %s', 'academy-bridge' ), self::day( $starts ) );
		}
		if ( $days ) {
			/* translators: %d: number of days. */
			$lines[] = sprintf( _n( 'Access for %d day', 'Access for %d days', $days, 'academy-bridge' ), $days );
		}
		if ( Offer::is_day( $until ) ) {
			/* translators: %s: a day. */
			$lines[] = sprintf( __( 'Access until %s', 'academy-bridge' ), self::day( $until ) );
		}
		if ( $seats > 1 ) {
			/* translators: %d: number of places. */
			$lines[] = sprintf( _n( '%d place', '%d places', $seats, 'academy-bridge' ), $seats );
		}
		return $lines;
	}

	/**
	 * A day as the shop writes days. It is the day itself, in no time zone.
	 *
	 * @param string $day Such as 2027-12-31.
	 */
	private static function day( string $day ): string {
		return (string) wp_date( (string) get_option( 'date_format' ), (int) strtotime( $day . ' 12:00:00 UTC' ), new \DateTimeZone( 'UTC' ) );
	}

	/**
	 * A row of the box.
	 *
	 * @param string $field Its field.
	 * @param string $label What it is.
	 * @param string $help  How it is written.
	 * @param string $input HTML, escaped.
	 */
	private static function row( string $field, string $label, string $help, string $input ): void {
		echo '<tr><th scope="row"><label for="' . esc_attr( $field ) . '">' . esc_html( $label ) . '</label></th><td>' . $input; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped by input() and select().
		echo '' !== $help ? '<p class="description">' . esc_html( $help ) . '</p></td></tr>' : '</td></tr>';
	}

	/**
	 * A field to type in.
	 *
	 * @param string               $field  Its name.
	 * @param array<string,string> $values What the fields hold.
	 * @param string               $type   HTML's.
	 * @param int                  $most   The largest number.
	 */
	private static function input( string $field, array $values, string $type, int $most = 0 ): string {
		$limits = $most ? ' min="1" max="' . esc_attr( (string) $most ) . '" step="1"' : '';
		return '<input type="' . esc_attr( $type ) . '" class="regular-text" id="' . esc_attr( $field ) . '" name="' . esc_attr( $field ) . '" value="' . esc_attr( $values[ $field ] ) . '"' . $limits . '>';
	}

	/**
	 * For whom it can be.
	 *
	 * @param string $value What is set.
	 */
	private static function select( string $value ): string {
		$choices = array(
			''      => __( 'One unit is the buyer\'s, several are to be given away', 'academy-bridge' ),
			'buyer' => __( 'The buyer', 'academy-bridge' ),
			'team'  => __( 'A team: all places are to be given away', 'academy-bridge' ),
			'ask'   => __( 'Ask the buyer: for myself, for my team, as a gift', 'academy-bridge' ),
		);
		$html    = '<select id="bridge_for" name="bridge_for">';
		foreach ( $choices as $choice => $label ) {
			$html .= '<option value="' . esc_attr( $choice ) . '"' . selected( $value, $choice, false ) . '>' . esc_html( $label ) . '</option>';
		}
		return $html . '</select>';
	}
}
